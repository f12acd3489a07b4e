"""Copies a run's `metrics.jsonl` to MLflow and to the progress bar while the run goes on.

Rank 0 writes the file and never waits for MLflow; the driver reads the file in a thread. A step that runs again after
a restart gives identical values, so steps that MLflow already has are not logged again.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from types import TracebackType

from framemill.platform.progress import Progress
from framemill.platform.tracking import Tracker
from framemill.training.run.metrics_file import (
    METRICS,
    BaselineLine,
    EvalLine,
    MetricsLine,
    TrainLine,
    line_values,
    parse_line,
)

_POLL_S = 1.0
"""Seconds between two readings of the file."""
_LINES_PER_REQUEST = 50
"""Maximum number of lines per request. Metrics of 50 lines fit in one request of MLflow, which takes 1000 metrics."""
_PREFIXES = {TrainLine.kind: "train/", EvalLine.kind: "eval/", BaselineLine.kind: "eval/"}
"""Prefix of the metrics' names in MLflow, by kind of line. Other kinds are not copied."""
_MARKERS = {TrainLine.kind: "train/loss", EvalLine.kind: "eval/loss", BaselineLine.kind: "eval/linear_loss"}
"""For each kind of line, the metric whose last step in MLflow shows which lines are already logged."""


class MlflowMirror:
    """Context manager that copies the metrics in a thread; all lines written so far are copied at exit."""

    def __init__(self, output: str, tracker: Tracker, bar: Progress) -> None:
        """Reads from MLflow the last steps that are already logged.

        Args:
            output: run directory.
            tracker: the run in MLflow.
            bar: progress bar of the steps.
        """
        self.path = os.path.join(output, METRICS)
        self.tracker, self.bar = tracker, bar
        last = {kind: tracker.last_step(name) for kind, name in _MARKERS.items()}
        self._logged = {kind: -1 if step is None else step for kind, step in last.items()}
        self._inode, self._offset = 0, 0
        self._stop = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._follow, name="mirror", daemon=True)

    def __enter__(self) -> MlflowMirror:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        if kind is None:
            if self._error:
                raise self._error
            self.copy()

    def _follow(self) -> None:
        try:
            while not self._stop.wait(_POLL_S):
                self.copy()
        except Exception as error:  # raised at exit: training does not depend on MLflow
            self._error = error

    def copy(self) -> None:
        """Copies the lines that were written since the last call."""
        pending: list[MetricsLine] = []
        for line in self._new_lines():
            if isinstance(line, TrainLine) and line.step > self.bar.done:
                self.bar.advance(line.step - self.bar.done, note=f"{line.stage}, loss {line.loss:.3f}")
            if line.kind in _MARKERS and line.step > self._logged[line.kind]:
                self._logged[line.kind] = line.step
                pending.append(line)
        for first in range(0, len(pending), _LINES_PER_REQUEST):
            batch = pending[first : first + _LINES_PER_REQUEST]
            self.tracker.log_batch([metric for line in batch for metric in _metrics(line)])

    def _new_lines(self) -> Iterator[MetricsLine]:
        """Yields whole lines not read yet; all lines again if a worker replaced the file on resume."""
        if not os.path.exists(self.path):
            return
        with open(self.path, "rb") as file:
            inode = os.fstat(file.fileno()).st_ino
            if inode != self._inode:
                self._inode, self._offset = inode, 0
            file.seek(self._offset)
            data = file.read()
        data = data[: data.rfind(b"\n") + 1]
        self._offset += len(data)
        yield from (parse_line(json.loads(text)) for text in data.splitlines())


def _metrics(line: MetricsLine) -> list[tuple[str, float, int]]:
    """Returns a line's numbers as (name, value, step)."""
    values = line_values(line)
    numbers = {name: x for name, x in values.items() if name != "step" and isinstance(x, int | float)}
    return [(_PREFIXES[line.kind] + name, float(x), line.step) for name, x in numbers.items()]
