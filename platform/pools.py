"""Pools of Ray workers: actors for work with state, tasks for plain functions.

Both run the same shell around an item. An error that may go away (`RetryLater`, storage that does not answer, an
unexpected exception, a worker process that was lost) leaves the item pending with its reason and costs no other item.
A `FramemillError` is an answer about the whole job, such as an output that another driver took over or a wrong
request, and ends the job.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from framemill.platform.errors import FramemillError, PendingError
from framemill.platform.progress import progress
from framemill.platform.retry import RetryLater
from framemill.platform.storage import StorageError

_CPUS_PER_ACTOR = 0.5
"""Less than one core, so that a job's actors never keep another task of the same cluster from starting."""
_LOST_WORKER_RETRIES = 2
"""How often an item is tried again whose worker process was lost (out of memory, a lost node)."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class ItemResult(Generic[R]):
    """What became of one item of work."""

    name: str
    """The item, as shown to a person: a path, a shard's name."""
    value: R | None = None
    """What the worker returned; None while the item is pending."""
    pending: str = ""
    """Why the item must be tried again; empty where it is done."""


def run_item(function: Callable[[T], R], item: T, name: str) -> ItemResult[R]:
    """Runs `function(item)` in the shell that all workers share.

    Raises:
        FramemillError: the job as a whole cannot go on.
    """
    try:
        return ItemResult(name, function(item))
    except Exception as error:
        return ItemResult(name, pending=pending_reason(error, name))


def pending_reason(error: Exception, name: str = "") -> str:
    """Returns why an item is pending whose work ended with this error; logs an error that nobody expected.

    Raises:
        FramemillError: `error` itself, where the job as a whole cannot go on.
    """
    if isinstance(error, RetryLater):
        return str(error)
    if isinstance(error, StorageError):
        return f"storage: {error}"
    if isinstance(error, FramemillError):
        raise error
    logging.getLogger("framemill").error("%s: unexpected error", name, exc_info=error)
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


class PoolWorker(ABC):
    """The work of one Ray actor of a pool: takes items one by one.

    A subclass implements `do`, and `name` if items are not their own names. Items are strings (paths, JSON).
    """

    @abstractmethod
    def do(self, item: str) -> str:
        """Does one item and returns its result as text, empty where the result was written to the output.

        Raises:
            RetryLater: a transient failure; the item stays pending.
            FramemillError: the job as a whole cannot go on.
        """

    @staticmethod
    def name(item: str) -> str:
        """Returns the item's name for people."""
        return item


class _PoolActor:
    """The Ray actor around a worker. Its first call makes the worker, so that errors of that reach the driver."""

    def __init__(self, worker: type[PoolWorker], arguments: dict[str, Any]) -> None:
        self._worker, self._arguments = worker, arguments

    def start(self) -> None:
        """Makes the worker."""
        self._work = self._worker(**self._arguments)

    def run(self, item: str) -> ItemResult[str]:
        """Does one item in the shell that all workers share."""
        return run_item(self._work.do, item, self._worker.name(item))


@dataclass
class _QueuedItem:
    """An item of a pool of actors, and how many workers were lost with it."""

    item: str
    losses: int = 0


def map_actors(
    worker: type[PoolWorker], arguments: dict[str, Any], items: Sequence[str], workers: int, gpus: float = 0.0
) -> Iterator[ItemResult[str]]:
    """Yields the result of each item from a pool of actors, in the order in which items finish.

    Nothing may depend on that order. An actor gets its next item when it has done the last, and none before it has
    started: a cluster with room for fewer actors works with those. An actor that is lost is replaced, and its item is
    tried again by another.

    This is not Ray Data's actor pool: importing that costs a second of CPU in the driver and in each worker, and each
    actor of it prints a warning about its constructor's arguments (ray#53727).

    Args:
        worker: class of the workers; each is made by `worker(**arguments)`.
        arguments: keyword arguments of the class; they are pickled.
        items: the work, one string an item.
        workers: number of actors.
        gpus: GPUs that each actor takes, which may be a share of one.

    Raises:
        FramemillError: raised by a worker, or no worker starts.
    """
    import ray
    from ray.exceptions import RayError, RayTaskError

    if not items:
        return
    actor_class = ray.remote(num_cpus=_CPUS_PER_ACTOR, num_gpus=gpus, scheduling_strategy="SPREAD")(_PoolActor)
    shared = ray.put(arguments)
    queue = deque(_QueuedItem(item) for item in items)
    running: dict[Any, tuple[Any, _QueuedItem | None]] = {}  # by call: its actor, and its item (None: it starts)
    lost_starts = 0

    def start_actor() -> None:
        actor: Any = actor_class.remote(worker, shared)
        running[actor.start.remote()] = (actor, None)

    def give_item(actor: Any) -> None:
        if queue:
            entry = queue.popleft()
            running[actor.run.remote(entry.item)] = (actor, entry)

    try:
        for _ in range(min(workers, len(items))):
            start_actor()
        while queue or any(entry for _, entry in running.values()):
            (ready,), _ = ray.wait(list(running), num_returns=1)
            actor, entry = running.pop(ready)
            try:
                result = ray.get(ready)
            except RayTaskError as error:
                raise error.cause from None
            except RayError as error:
                reason = f"its worker process was lost: {str(error).splitlines()[0]}"
                if entry is None:
                    lost_starts += 1
                    if lost_starts > _LOST_WORKER_RETRIES * workers:
                        raise FramemillError(f"{worker.__name__}: no worker starts: {reason}") from error
                elif entry.losses >= _LOST_WORKER_RETRIES:
                    yield ItemResult(worker.name(entry.item), pending=reason)
                else:
                    queue.append(_QueuedItem(entry.item, entry.losses + 1))
                if queue:
                    start_actor()
                continue
            give_item(actor)
            if entry is not None:
                yield result
    finally:
        for actor, _ in running.values():
            ray.kill(actor)


def map_tasks(
    function: Callable[[T], R],
    items: Iterable[T],
    workers: int,
    gpus: float = 0.0,
    name: Callable[[T], str] = str,
) -> Iterator[ItemResult[R]]:
    """Yields the result of `function(item)` for each item from Ray tasks, in the order in which items finish.

    Each task takes one CPU, for which Ray gives it one thread, so that floating-point sums do not depend on the
    machine. At most `workers` tasks run at a time.

    Args:
        function: a function that pickles.
        items: the work; it is read lazily.
        workers: number of tasks that run at a time.
        gpus: GPUs that each task takes.
        name: returns an item's name for people.

    Raises:
        FramemillError: raised by a task.
    """
    import ray
    from ray.exceptions import RayError, RayTaskError

    task: Any = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=_LOST_WORKER_RETRIES)(run_item)
    running: dict[Any, str] = {}

    def next_result() -> ItemResult[R]:
        (ready,), _ = ray.wait(list(running), num_returns=1)
        label = running.pop(ready)
        try:
            result: ItemResult[R] = ray.get(ready)
            return result
        except RayTaskError as error:
            raise error.cause from None
        except RayError as error:
            return ItemResult(label, pending=f"its worker process was lost: {str(error).splitlines()[0]}")

    for item in items:
        if len(running) >= workers:
            yield next_result()
        running[task.remote(function, item, name(item))] = name(item)
    while running:
        yield next_result()


def finish_all(
    results: Iterable[ItemResult[R]], *, label: str, total: int, unit: str, done: int = 0
) -> list[ItemResult[R]]:
    """Runs a pool to its end behind a progress bar and returns the results, all of them done.

    Args:
        results: an iterator of `map_actors` or `map_tasks`.
        label: what the bar says; its first word is the job's name, as in "curate: measuring".
        total: number of items, those that were done before included.
        unit: what an item is, in the plural.
        done: number of items that an earlier run has done.

    Raises:
        PendingError: some items are pending; raised after all others are done.
        FramemillError: raised by a worker.
    """
    finished: list[ItemResult[R]] = []
    pending: list[str] = []
    with progress(label, total, unit) as bar:
        bar.advance(done)
        for result in results:
            if result.pending:
                pending.append(f"{result.name}: {result.pending}")
            else:
                finished.append(result)
            bar.advance(note=result.name if total > done else "")
    raise_pending(label.partition(":")[0], pending)
    return finished


def raise_pending(job: str, pending: Sequence[str]) -> None:
    """Turns the pending items of a job into one error.

    Raises:
        PendingError: there are pending items; the line names the first and counts the others.
    """
    if pending:
        more = f" (and {len(pending) - 1} more)" if len(pending) > 1 else ""
        raise PendingError(f"{job}: {min(pending)}{more}; the same command tries again")


def has_gpus() -> bool:
    """Returns whether the Ray cluster has a GPU."""
    import ray

    return bool(ray.cluster_resources().get("GPU", 0) > 0)
