"""Work shared out to Ray tasks, a few at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any


def has_gpus() -> bool:
    """Whether the cluster has any GPU, and so one for each task that runs a network."""
    import ray

    return ray.cluster_resources().get("GPU", 0) > 0


def map_tasks(function: Callable[..., Any], jobs: Iterable[Any], workers: int, gpus: float = 0.0) -> Iterator[Any]:
    """`function(job)` for each job, at most `workers` at once, on one CPU each; results come as they are ready.

    Ray gives a one-CPU task one thread, so that sums do not depend on the machine. A task whose process dies is tried
    again. An error raised by a task ends the work with that error.
    """
    import ray
    from ray.exceptions import RayTaskError

    task = ray.remote(num_cpus=1, num_gpus=gpus)(function)
    running: set[Any] = set()

    def next_result() -> Any:
        (ready,), rest = ray.wait(list(running))
        running.intersection_update(rest)
        try:
            return ray.get(ready)
        except RayTaskError as error:
            raise error.cause from None

    for job in jobs:
        if len(running) >= workers:
            yield next_result()
        running.add(task.remote(job))
    while running:
        yield next_result()
