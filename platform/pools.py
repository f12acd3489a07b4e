"""Pools of Ray workers: actors for work with state, tasks for plain functions.

Both run the same shell around an item. An error that may go away (`RetryLater`, storage that does not answer, an
exception that nobody expected, a worker process that was lost) leaves the item pending with its reason and costs no
other item. A `FramemillError` is an answer about the whole job, such as an output that another driver took over or a
wrong request, and ends the job.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

from framemill.platform.errors import FramemillError, PendingError
from framemill.platform.progress import progress
from framemill.platform.retry import RetryLater
from framemill.platform.storage import StorageError

CPUS_PER_ACTOR = 0.5
"""Less than one core, so that a job's actors never keep another task of the same cluster from starting."""
MAX_BLOCKS = 20_000
"""Ray Data blocks of a pool at most; with fewer items each is a block of its own, the unit that an actor takes."""
TASK_RETRIES = 2
"""How often Ray runs a task again whose worker process was lost (out of memory, a lost node)."""

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
    """One Ray actor of a pool: takes items one by one.

    A subclass implements `do`, and `name` where items are not their own names. Items are strings (paths, JSON), since
    they travel through Ray Data.
    """

    @abstractmethod
    def do(self, item: str) -> str:
        """Does one item and returns its result as text, empty where the result was written to the output.

        Raises:
            RetryLater: a transient failure; the item stays pending.
            FramemillError: the job as a whole cannot go on.
        """

    def name(self, item: str) -> str:
        """Returns the item's name for people."""
        return item

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Runs `do` on `row["item"]`; Ray Data calls this with one row at a time."""
        return asdict(run_item(self.do, row["item"], self.name(row["item"])))


def map_actors(
    worker: type[PoolWorker], arguments: dict[str, Any], items: Sequence[str], workers: int, gpus: float = 0.0
) -> Iterator[ItemResult[str]]:
    """Yields the result of each item from a pool of actors, in the order in which items finish.

    Nothing may depend on that order.

    Args:
        worker: class of the actors; each is made by `worker(**arguments)`.
        arguments: keyword arguments of the class; they are pickled.
        items: the work, one string an item.
        workers: number of actors.
        gpus: GPUs that each actor takes, which may be a share of one.

    Raises:
        FramemillError: raised by a worker.
    """
    import ray
    from ray.data import ActorPoolStrategy

    if not items:
        return
    rows = ray.data.from_items([{"item": item} for item in items], override_num_blocks=min(len(items), MAX_BLOCKS))
    pool = ActorPoolStrategy(size=min(workers, len(items)), max_tasks_in_flight_per_actor=2)
    results = rows.map(worker, fn_constructor_kwargs=arguments, compute=pool, num_cpus=CPUS_PER_ACTOR, num_gpus=gpus)
    for row in results.iter_rows():
        yield ItemResult(**row)


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

    task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=TASK_RETRIES)(run_item)
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
    """Raises the pending items of a job as one error.

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
