"""Tracking: one MLflow run per output, which is resumed when the job is restarted.

MLflow must never delay a job. It runs in a child process, log calls are queued for this process, and a job waits for
MLflow only at its end.
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
"""Timeout in seconds for MLflow at the end of a failed or interrupted job."""


def tracking_uri(tracking: TrackingConfig, output: str) -> str:
    """Returns the MLflow tracking URI: `tracking.uri`, or if it is empty an SQLite file in the output.

    If the output is in an object store, the SQLite file is in the current folder.
    """
    folder = storage.local_path(output) if storage.is_local(output) else "."
    return tracking.uri or f"sqlite:///{os.path.abspath(folder)}/mlflow.db"


def prepare_tracking(tracking: TrackingConfig, output: str) -> None:
    """Initialises MLflow in the background before the first run is opened, and creates the SQLite file if needed."""
    _process().submit("prepare", tracking_uri(tracking, output))


class Tracker:
    """One MLflow run, used as a context manager that sets the run's final status.

    Log calls are queued and return immediately, except for methods that are documented to wait. After a failed call
    nothing more is logged, and leaving the block raises the error of the call.
    """

    def __init__(self, uri: str, run: Future[str]) -> None:
        self.uri = uri
        self._run = run
        self._last: Future[Any] = run

    @staticmethod
    def open(tracking: TrackingConfig, output: str, run_name: str, params: dict[str, Any]) -> Tracker:
        """Returns the tracker of an output's run, which is created at the first start and resumed later.

        Args:
            tracking: keys `tracking.*`.
            output: folder or URI of the job's output, in which the run's id is stored.
            run_name: name of a new run.
            params: nested parameters of a new run.
        """
        uri = tracking_uri(tracking, output)
        database = uri.removeprefix("sqlite:///")
        artifacts = os.path.join(os.path.dirname(database), "mlartifacts") if database != uri else ""
        run_file = storage.join(output, RUN_FILE)
        arguments = (uri, run_file, tracking.experiment, artifacts, run_name, params)
        return Tracker(uri, _process().submit("open_run", *arguments))

    @property
    def run_id(self) -> str:
        """Id of the run in MLflow; waits until the run is open.

        Raises:
            FramemillError: the run could not be opened.
        """
        return self._run.result()

    def log_metrics(self, values: dict[str, float], step: int = 0) -> None:
        """Logs metrics of one step, given by name."""
        self.log_batch((name, value, step) for name, value in values.items())

    def log_batch(self, values: Iterable[Metric]) -> None:
        """Logs (name, value, step) triples in as few requests as MLflow allows."""
        self._submit("log_metrics", list(values), int(time.time() * 1000))

    def last_step(self, name: str) -> int | None:
        """Returns the last step at which a metric was logged, or None if it was never logged; waits for MLflow.

        Raises:
            FramemillError: this or an earlier call failed.
        """
        return self._submit("last_step", name).result()

    def log_dataset(self, name: str, digest: str, source: str, context: str = "training") -> None:
        """Logs a dataset as input or output of the run; `context` is MLflow's context tag."""
        self._submit("log_dataset", name, digest, source, context)

    def log_artifact(self, path: str, folder: str | None = None) -> None:
        """Copies a local file to `folder` in the run's artifacts, and waits until the file is copied.

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
        """Ends the run after all queued calls; after an error in the block, waits at most `_STOP_S` seconds.

        Raises:
            FramemillError: a call failed, and the block did not raise an error.
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
"""A queued call: future of the result, function name, arguments, and future of a call that must succeed first."""


class _MlflowProcess:
    """The child process in which MLflow runs, with a thread that sends queued calls to it one by one.

    The thread is a daemon, so an unresponsive server does not keep this process from exiting. The child ends with this
    process.
    """

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[_Call] = queue.SimpleQueue()
        self._child = ChildProcess(renew_after=sys.maxsize)
        threading.Thread(target=self._send_calls, name="tracking", daemon=True).start()

    def submit(self, function: str, *arguments: Any, after: Future[Any] | None = None) -> Future[Any]:
        """Queues a call of a function of `mlflow_store` and returns the future of its result.

        Args:
            function: name of the function.
            arguments: arguments, of which the first is the tracking URI; a future is replaced by its result.
            after: future of an earlier call; if it fails, this call is not made and fails with the same error.
        """
        future: Future[Any] = Future()
        self._calls.put((future, function, arguments, after))
        return future

    def _send_calls(self) -> None:
        # A lower priority, so that measuring and training come first on machines with few cores.
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
