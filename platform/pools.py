"""Pools of Ray workers: actors for work with state, tasks for plain functions.

Both handle the errors of an item in `run_item`. After an error that may be transient (`RetryLater`, a `StorageError`,
an unexpected exception, a lost worker process) the item is pending with a reason, and the other items continue. A
`FramemillError` concerns the whole job, such as a wrong request or an output that another driver took over, and ends
the job."""

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
"""Logical CPUs per actor: less than 1, so that a job's actors never block other tasks of the cluster."""
_LOST_WORKER_RETRIES = 2
"""Maximum number of retries of an item after its worker process was lost (out of memory, node failure)."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class ItemResult(Generic[R]):
    """The outcome of one work item: done or pending."""

    name: str
    """Name of the item for messages, such as a path or the name of a shard."""
    value: R | None = None
    """Return value of the worker; None if the item is pending."""
    pending: str = ""
    """Why the item is pending; empty if it is done."""


def run_item(function: Callable[[T], R], item: T, name: str) -> ItemResult[R]:
    """Returns the outcome of `function(item)`: its value, or the reason why the item is pending.

    Raises:
        FramemillError: raised by the function; the whole job cannot continue.
    """
    try:
        return ItemResult(name, function(item))
    except Exception as error:
        return ItemResult(name, pending=pending_reason(error, name))


def pending_reason(error: Exception, name: str = "") -> str:
    """Returns the reason why an item is pending after `error`, and logs unexpected errors.

    Raises:
        FramemillError: `error` itself, if it is a FramemillError other than StorageError.
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
    """Base class of the worker in a Ray actor of a pool, which processes items one by one.

    Items are strings (paths, JSON). A subclass implements `do`, and `name` if an item is not its own name.
    """

    @abstractmethod
    def do(self, item: str) -> str:
        """Processes one item and returns its result as text; empty if the result was written to the output.

        Raises:
            RetryLater: a transient failure; the item stays pending.
            FramemillError: the whole job cannot continue.
        """

    @staticmethod
    def name(item: str) -> str:
        """Returns the name of an item for messages."""
        return item


class _PoolActor:
    """The Ray actor around a worker. `start` creates the worker, so that errors of its constructor reach the driver."""

    def __init__(self, worker: type[PoolWorker], arguments: dict[str, Any]) -> None:
        self._worker, self._arguments = worker, arguments

    def start(self) -> None:
        """Creates the worker."""
        self._work = self._worker(**self._arguments)

    def run(self, item: str) -> ItemResult[str]:
        """Processes one item and returns its outcome."""
        return run_item(self._work.do, item, self._worker.name(item))


@dataclass
class _QueuedItem:
    """A queued item of a pool of actors, with the number of workers that were lost while processing it."""

    item: str
    losses: int = 0


def map_actors(
    worker: type[PoolWorker], arguments: dict[str, Any], items: Sequence[str], workers: int, gpus: float = 0.0
) -> Iterator[ItemResult[str]]:
    """Yields the result of each item from a pool of actors, in the order in which items finish.

    The order is not deterministic. An actor gets an item after it has started and whenever it has finished the previous
    item, so a cluster with resources for fewer actors works with these. A lost actor is replaced, and its item is
    retried.

    Ray Data's actor pool is not used: importing Ray Data costs a second of CPU time in the driver and in each worker,
    and each of its actors prints a warning about constructor arguments (ray#53727).

    Args:
        worker: class of the workers, which are created by `worker(**arguments)`.
        arguments: keyword arguments of the class, which must be picklable.
        items: work items.
        workers: number of actors.
        gpus: GPUs per actor; may be a fraction.

    Raises:
        FramemillError: raised by a worker, or no worker could be started.
    """
    import ray
    from ray.exceptions import RayError, RayTaskError

    if not items:
        return
    # Ray shows the name of the class in its dashboard, its logs and the names of its processes.
    worker_actor = type(worker.__name__, (_PoolActor,), {})
    actor_class = ray.remote(num_cpus=_CPUS_PER_ACTOR, num_gpus=gpus, scheduling_strategy="SPREAD")(worker_actor)
    shared = ray.put(arguments)
    queue = deque(_QueuedItem(item) for item in items)
    running: dict[
        Any, tuple[Any, _QueuedItem | None]
    ] = {}  # by call: its actor, and its item (None: the call of `start`)
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

    Each task has one CPU, so Ray limits it to one thread, and floating-point sums do not depend on the machine.

    Args:
        function: picklable function.
        items: work items, which are read lazily.
        workers: maximum number of concurrent tasks.
        gpus: GPUs per task.
        name: function that returns the name of an item for messages.

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
    """Runs a pool to its end with a progress bar and returns the results, all of which are done.

    Args:
        results: iterator of `map_actors` or `map_tasks`.
        label: label of the bar, which begins with the name of the job: "curate: measuring".
        total: number of items, including items that are already done.
        unit: plural noun for the items.
        done: number of items that an earlier run has finished.

    Raises:
        PendingError: some items are pending; raised after all other items are done.
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
    """Ends a job with one error for all its pending items, if there are any.

    Raises:
        PendingError: there are pending items; the message names one and counts the others.
    """
    if pending:
        more = f" (and {len(pending) - 1} more)" if len(pending) > 1 else ""
        raise PendingError(f"{job}: {min(pending)}{more}; the same command tries again")


def has_gpus() -> bool:
    """Returns whether the Ray cluster has a GPU."""
    import ray

    return bool(ray.cluster_resources().get("GPU", 0) > 0)
