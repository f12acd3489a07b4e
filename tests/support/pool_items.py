"""One item of a pool, done in this process."""

from __future__ import annotations

from framemill.platform.pools import ItemResult, PoolWorker, run_item


def do_item(worker: PoolWorker, item: str) -> ItemResult[str]:
    """Does an item in the shell that all workers share, as an actor of a pool does."""
    return run_item(worker.do, item, worker.name(item))
