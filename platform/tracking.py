"""Tracking: one MLflow run for an output, however often the job is stopped and started again.

MLflow is a side service, which must never delay a job. It runs in a child process, and what a job logs is queued for
it; a job waits for MLflow only at its end.
"""

from __future__ import annotations

import contextlib
import functools
import os
import queue
import sys
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any

from framemill.platform import storage
from framemill.platform.child_process import ChildProcess
from framemill.platform.config import TrackingConfig
from framemill.platform.errors import FramemillError
from framemill.platform.mlflow_store import Metric

RUN_FILE = "mlflow_run.txt"
"""File in an output with the id of its MLflow run."""
_MLFLOW = "framemill.platform.mlflow_store"
_NICE = 5
"""Niceness of MLflow's process."""
_STOP_S = 30.0
"""How long a job that failed or was interrupted waits for MLflow, in seconds."""


def tracking_uri(tracking: TrackingConfig, output: str) -> str:
    """Returns the MLflow tracking URI: the configured one, else an SQLite file in the output.

    If the output is not on this machine, the file is in the folder in which the job was started.
    """
    folder = storage.local_path(output) if storage.is_local(output) else "."
    return tracking.uri or f"sqlite:///{os.path.abspath(folder)}/mlflow.db"


def prepare_tracking(tracking: TrackingConfig, output: str) -> None:
    """Starts MLflow in the background, so that it is ready when the first run is opened; an SQLite file is created."""
    _process().submit("prepare", tracking_uri(tracking, output))


class Tracker:
    """One MLflow run. As a context manager it marks the run finished at its end, or failed on an error.

    What is logged is queued, and the calls return at once unless their description says that they wait. After a call
    that failed nothing more is logged, and leaving the block raises its error.
    """

    def __init__(self, uri: str, run: Future[str]) -> None:
        self.uri = uri
        self._run = run
        self._last: Future[Any] = run

    @staticmethod
    def open(tracking: TrackingConfig, output: str, run_name: str, params: dict[str, Any]) -> Tracker:
        """Returns the run of an output: made at the first start, resumed at every later one.

        Args:
            tracking: the store and the experiment.
            output: folder or URI of the job's output, which keeps the run's id.
            run_name: name of a new run.
            params: parameters of a new run, nested.
        """
        uri = tracking_uri(tracking, output)
        database = uri.removeprefix("sqlite:///")
        artifacts = os.path.join(os.path.dirname(database), "mlartifacts") if database != uri else ""
        run_file = storage.join(output, RUN_FILE)
        arguments = (uri, run_file, tracking.experiment, artifacts, run_name, params)
        return Tracker(uri, _process().submit("open_run", *arguments))

    @property
    def run_id(self) -> str:
        """The run's id in MLflow; waits for it.

        Raises:
            FramemillError: the run could not be opened.
        """
        return self._run.result()

    def log_metrics(self, values: dict[str, float], step: int = 0) -> None:
        """Logs metrics of one step by name."""
        self.log_batch((name, value, step) for name, value in values.items())

    def log_batch(self, values: Iterable[Metric]) -> None:
        """Logs (name, value, step) triples, in as few requests as MLflow allows."""
        self._submit("log_metrics", list(values), int(time.time() * 1000))

    def last_step(self, name: str) -> int | None:
        """Returns the last step at which a metric was logged, None if it never was; waits for MLflow.

        Raises:
            FramemillError: MLflow did not answer.
        """
        return self._submit("last_step", name).result()

    def log_dataset(self, name: str, digest: str, source: str, context: str = "training") -> None:
        """Logs which dataset the run read or wrote, by digest."""
        self._submit("log_dataset", name, digest, source, context)

    def log_artifact(self, path: str, folder: str | None = None) -> None:
        """Copies a local file to the run's artifacts; waits until it is copied.

        Raises:
            FramemillError: this or an earlier call failed.
        """
        self._submit("log_artifact", path, folder).result()

    def _submit(self, function: str, *arguments: Any) -> Future[Any]:
        self._last = _process().submit(function, self.uri, self._run, *arguments, after=self._last)
        return self._last

    def __enter__(self) -> Tracker:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Waits until everything is logged and ends the run; after an error in the block at most `_STOP_S` seconds.

        Raises:
            FramemillError: a call failed, and the block did not raise an error of its own.
        """
        status = "FINISHED" if kind is None else "KILLED" if issubclass(kind, KeyboardInterrupt) else "FAILED"
        if kind is None and self._last.exception() is not None:
            status = "FAILED"
        end = _process().submit("end_run", self.uri, self._run, status)
        if kind is not None:
            with contextlib.suppress(FramemillError, TimeoutError):
                end.result(_STOP_S)
            return
        end.result()
        self._last.result()


_Call = tuple[Future[Any], str, tuple[Any, ...], Future[Any] | None]
"""A queued call: its result, the function's name, the arguments, and the call that must have succeeded before."""


class _MlflowProcess:
    """The child process in which MLflow runs, and the thread that sends it one call after another.

    Both are started by the first call, and end with this process: the thread is a daemon, so that a server that does
    not answer holds nobody back.
    """

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[_Call] = queue.SimpleQueue()
        self._child = ChildProcess(renew_after=sys.maxsize)
        threading.Thread(target=self._send_calls, name="tracking", daemon=True).start()

    def submit(self, function: str, *arguments: Any, after: Future[Any] | None = None) -> Future[Any]:
        """Queues a call of a function of `mlflow_store` and returns its result as a future.

        Args:
            function: name of the function.
            arguments: its arguments, the tracking URI first; a future among them stands for its result.
            after: a call without whose success this one is not made, and fails with the same error.
        """
        future: Future[Any] = Future()
        self._calls.put((future, function, arguments, after))
        return future

    def _send_calls(self) -> None:
        # Measuring and training go first where the cores are few.
        with contextlib.suppress(Exception):
            self._child.call("os:nice", _NICE, timeout=None)
        while True:
            future, function, arguments, after = self._calls.get()
            try:
                if after is not None:
                    after.result()
                values = [value.result() if isinstance(value, Future) else value for value in arguments]
                future.set_result(self._child.call(f"{_MLFLOW}:{function}", *values, timeout=None))
            except FramemillError as error:
                future.set_exception(error)
            except Exception as error:
                line = next(iter(str(error).strip().splitlines()), "")
                message = f"tracking.uri={arguments[0]}: MLflow: {type(error).__name__}: {line}"
                future.set_exception(FramemillError(message))


@functools.cache
def _process() -> _MlflowProcess:
    return _MlflowProcess()
