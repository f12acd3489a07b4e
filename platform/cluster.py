"""The Ray session a job runs in: started in this process, or joined where a cluster is at hand."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator

from framemill.platform.config import ClusterConfig

MINIMUM_OBJECT_STORE = 80 << 20
OBJECT_STORE = 512 << 20
START_ATTEMPTS = 4
"""Ray gives its own processes 30 s to start, and no setting for it (`raylet_start_wait_time_s` in
ray/_private/node.py); a busy machine takes longer."""


def worker_count(workers: int) -> int:
    """`workers`, or one for each core of this machine where it is 0."""
    return workers if workers > 0 else max(1, len(os.sched_getaffinity(0)))


def _set_ray_environment() -> None:
    """Ray's usage reports, dashboard hints and progress bars off, before Ray is imported."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_TRAIN_ENABLE_STATE_TRACKING", "0")
    os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")


@contextlib.contextmanager
def session(cluster: ClusterConfig, workers: int = 0) -> Iterator[None]:
    """A Ray session for the length of the block.

    Inside another session, or in a process that has Ray already, the block joins it and leaves it up: a whole loop
    pays for one start.
    """
    _set_ray_environment()
    import ray

    if ray.is_initialized():
        yield
        return
    if cluster.address:
        ray.init(address=cluster.address, log_to_driver=True, logging_level=logging.WARNING)
    else:
        # As many slots as workers were asked for: a laptop may run four on two cores.
        _start_local_ray(max(worker_count(workers), worker_count(0)))
    # Ray's native handler took the signal over; the command line's own ends a job cleanly.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
    try:
        yield
    finally:
        ray.shutdown()


def _start_local_ray(cores: int) -> None:
    """Starts Ray in this process; again where the machine was too busy for its processes to start in time."""
    import ray

    for attempt in range(1, START_ATTEMPTS + 1):
        try:
            # Without a dashboard Ray Train's own watchers cannot ask for states, and say so every second as a warning.
            with _fixed_ray_address():
                ray.init(
                    address="local",
                    num_cpus=cores,
                    include_dashboard=False,
                    object_store_memory=OBJECT_STORE,
                    logging_level=logging.WARNING,
                    logging_config=ray.LoggingConfig(log_level="ERROR"),
                    log_to_driver=True,
                )
            return
        except Exception as error:
            if "timed out during startup" not in str(error) or attempt == START_ATTEMPTS:
                raise
            ray.shutdown()


@contextlib.contextmanager
def _fixed_ray_address() -> Iterator[None]:
    """Settles where the session about to start will be, and has its processes inherit it.

    Ray's own watchers look for "the" Ray of the machine, and fail where another one runs beside this.
    """
    import ray

    with socket.socket() as probe:
        probe.bind(("", 0))
        port = probe.getsockname()[1]
    names = {"RAY_GCS_SERVER_PORT": str(port), "RAY_ADDRESS": f"{ray.util.get_node_ip_address()}:{port}"}
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
