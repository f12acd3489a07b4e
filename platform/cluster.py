"""The Ray session of a job: started in this process, or that of a cluster which is joined."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator

from framemill.platform.config import ClusterConfig

_OBJECT_STORE = 512 << 20
"""Bytes of Ray's object store: Framemill passes paths and small results, not videos."""
_START_ATTEMPTS = 4
"""Ray gives its own processes 30 s to start, and no setting for it (`raylet_start_wait_time_s` in
ray/_private/node.py); a busy machine takes longer."""


def worker_count(workers: int) -> int:
    """Returns `workers`, or the number of this machine's cores if it is 0."""
    return workers if workers > 0 else max(1, len(os.sched_getaffinity(0)))


def _set_ray_environment() -> None:
    """Turns Ray's usage reports, dashboard hints and Ray Train's watchers off; must run before Ray is imported."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_TRAIN_ENABLE_STATE_TRACKING", "0")
    os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")


@contextlib.contextmanager
def session(cluster: ClusterConfig, workers: int = 0) -> Iterator[None]:
    """Runs the block in a Ray session.

    If this process has a session already, the block joins it and leaves it running: a loop of jobs starts Ray once.

    Args:
        cluster: address of a cluster; without one Ray starts in this process.
        workers: number of workers that must find a core; 0: one a core.
    """
    _set_ray_environment()
    import ray

    if ray.is_initialized():
        yield
        return
    if cluster.address:
        ray.init(address=cluster.address, log_to_driver=True, logging_level=logging.WARNING)
    else:
        # Ray counts a core for each worker: a laptop may run four workers on two cores.
        _start_local_ray(max(worker_count(workers), worker_count(0)))
    # Ray has replaced the handler of SIGTERM by a native one; the command line's handler ends a job cleanly.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
    try:
        yield
    finally:
        ray.shutdown()


def _start_local_ray(cores: int) -> None:
    """Starts Ray in this process, and again if the machine was too busy for its processes to start in time."""
    import ray

    for attempt in range(1, _START_ATTEMPTS + 1):
        try:
            # log_level: without a dashboard, Ray Train's watchers cannot ask for states and warn of that every second.
            with _fixed_ray_address():
                ray.init(
                    address="local",
                    num_cpus=cores,
                    include_dashboard=False,
                    object_store_memory=_OBJECT_STORE,
                    logging_level=logging.WARNING,
                    logging_config=ray.LoggingConfig(log_level="ERROR"),
                    log_to_driver=True,
                )
            return
        except Exception as error:
            if "timed out during startup" not in str(error) or attempt == _START_ATTEMPTS:
                raise
            ray.shutdown()


@contextlib.contextmanager
def _fixed_ray_address() -> Iterator[None]:
    """Chooses the address of the Ray that the block starts, and lets its processes inherit it.

    Ray's watchers look for any Ray of the machine, and fail if another one runs next to this one.
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
