"""A pool of Ray actors over a list of work items, through Ray Data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

CPUS_PER_WORKER = 0.5
"""Less than a whole core, so that a job's workers never keep another task of the same cluster from starting."""
MOST_BLOCKS = 20_000


def map_actors(
    worker: Callable[..., Any], arguments: dict[str, Any], work: list[str], workers: int, gpus: float = 0.0
) -> Iterator[dict]:
    """Gives each item of `work` to one of `workers` actors made by `worker(**arguments)`; yields results as they come.

    Each actor takes `gpus` GPUs, which may be a share of one.

    The order of results is not that of the work, and nothing may depend on it.
    """
    import ray
    from ray.data import ActorPoolStrategy

    if not work:
        return
    # One item a block: a block is what an actor takes at a time.
    rows = ray.data.from_items([{"work": item} for item in work], override_num_blocks=min(len(work), MOST_BLOCKS))
    pool = ActorPoolStrategy(size=min(workers, len(work)), max_tasks_in_flight_per_actor=2)
    results = rows.map(worker, fn_constructor_kwargs=arguments, compute=pool, num_cpus=CPUS_PER_WORKER, num_gpus=gpus)
    yield from results.iter_rows()
