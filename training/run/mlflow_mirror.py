"""Copies a run's record to MLflow and to the progress bar while it is being written.

The workers write one file and wait for nobody; the driver reads along. A step that is done a second time after a
restart gives the same numbers, so MLflow keeps those it has: each step is there once.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from framemill.platform.progress import Progress
from framemill.platform.tracking import Tracker
from framemill.training.run.metrics_file import METRICS, Line

POLL_S = 1.0
LINES_AT_ONCE = 50
"""Few enough that all metrics of a line go in one request of MLflow's, which takes 1000: a step is logged whole."""
PREFIX = {"train": "train/", "eval": "eval/", "baseline": "eval/"}
MARK = {"train": "train/loss", "eval": "eval/loss", "baseline": "eval/linear_loss"}
"""For each kind of line the metric that shows whether MLflow has it."""


class MlflowMirror:
    """Follows a record in a thread, for as long as the block runs; at its end everything written is copied."""

    def __init__(self, output: str, tracker: Tracker, bar: Progress) -> None:
        self.path = os.path.join(output, METRICS)
        self.tracker, self.bar = tracker, bar
        last = {kind: tracker.last_step(name) for kind, name in MARK.items()}
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
            while not self._stop.wait(POLL_S):
                self.copy()
        except Exception as error:  # told when the block ends: training itself does not depend on MLflow
            self._error = error

    def copy(self) -> None:
        """Copies what was written since the last time."""
        pending: list[Line] = []
        for line in self._new_lines():
            if line["kind"] == "train" and line["step"] > self.bar.done:
                self.bar.advance(line["step"] - self.bar.done, note=f"{line['stage']}, loss {line['loss']:.3f}")
            if line["kind"] in MARK and line["step"] > self._logged[line["kind"]]:
                self._logged[line["kind"]] = line["step"]
                pending.append(line)
        for first in range(0, len(pending), LINES_AT_ONCE):
            batch = pending[first : first + LINES_AT_ONCE]
            self.tracker.log_batch([metric for line in batch for metric in metrics(line)])

    def _new_lines(self) -> Iterator[Line]:
        """Whole lines not read yet; all of them again where a worker took up the record in a new file."""
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
        yield from map(json.loads, data.splitlines())


def metrics(line: Line) -> list[tuple[str, float, int]]:
    """A line's numbers as (name, value, step)."""
    numbers: dict[str, Any] = {
        name: value for name, value in line.items() if name != "step" and isinstance(value, int | float)
    }
    return [(PREFIX[line["kind"]] + name, float(value), line["step"]) for name, value in numbers.items()]
