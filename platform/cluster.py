"""The Ray session of a job: a local Ray instance, or a connection to an existing cluster."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator

from framemill.platform.config import ClusterConfig

_OBJECT_STORE = 512 << 20
"""Size of Ray's object store in bytes: Framemill passes paths and small results through it, not videos."""
_START_ATTEMPTS = 4
"""Maximum attempts to start Ray. Ray's timeout for starting its processes is fixed at 30 s (`raylet_start_wait_time_s`
in ray/_private/node.py), which busy machines exceed."""


def worker_count(workers: int) -> int:
    """Returns `workers`, or the number of CPU cores of this machine if `workers` is 0."""
    return workers if workers > 0 else max(1, len(os.sched_getaffinity(0)))


def _set_ray_environment() -> None:
    """Turns off Ray's usage reports, dashboard hints and Ray Train's watchers; must run before Ray is imported."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_TRAIN_ENABLE_STATE_TRACKING", "0")
    os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")


@contextlib.contextmanager
def session(cluster: ClusterConfig, workers: int = 0) -> Iterator[None]:
    """Runs the block in a Ray session.

    If this process already has a session, the block uses that session and leaves it running, so that a loop of jobs
    starts Ray once.

    Args:
        cluster: `cluster.address` is the address of a cluster; if it is empty, Ray starts in this process.
        workers: number of workers that a local Ray has CPUs for; 0: one per CPU core.
    """
    _set_ray_environment()
    import ray

    if ray.is_initialized():
        yield
        return
    if cluster.address:
        ray.init(address=cluster.address, log_to_driver=True, logging_level=logging.WARNING)
    else:
        # Each worker needs a logical Ray CPU; there may be more workers than CPU cores.
        _start_local_ray(max(worker_count(workers), worker_count(0)))
    # Ray has replaced the SIGTERM handler by a native one; this restores the handler that ends a job cleanly.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
    try:
        yield
    finally:
        ray.shutdown()


def _start_local_ray(cores: int) -> None:
    """Starts Ray in this process, with retries if its processes do not start within Ray's timeout."""
    import ray

    for attempt in range(1, _START_ATTEMPTS + 1):
        try:
            # log_level: without a dashboard, Ray Train's watchers log a warning every second.
            with _fixed_ray_address(), _free_agent_port():
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
    """Fixes the address of the Ray instance that the block starts, in environment variables that its processes inherit.

    Without a fixed address, Ray's watchers search for Ray instances on the machine and fail if several are running.
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


@contextlib.contextmanager
def _free_agent_port() -> Iterator[None]:
    """Lets the dashboard agent of the Ray instance that the block starts listen on a free port.

    `ray.init` has no argument for that port: it is 52365. If another Ray instance of the machine listens there, the
    agent retries for 3.5 s before Ray starts without it. `ray start` has --dashboard-agent-listen-port.
    """
    from ray._private import parameter

    original = parameter.RayParams
    parameter.RayParams = functools.partial(original, dashboard_agent_listen_port=0)
    try:
        yield
    finally:
        parameter.RayParams = original
