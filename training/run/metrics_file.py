"""The run's own record: `metrics.jsonl`, one JSON object a line, every step once however often the run was stopped.

kind "train": what a step did; "eval": the held-out losses after a step; "start": where a process took up the run.
"""

from __future__ import annotations

import json
import os
from typing import Any

from framemill.platform import storage

METRICS = "metrics.jsonl"
Line = dict[str, Any]


def read_lines(output: str) -> list[Line]:
    """The whole lines of a run's record; one that broke off half-way ends it."""
    path = storage.join(output, METRICS)
    lines: list[Line] = []
    if storage.exists(path):
        for text in storage.read_bytes(path).split(b"\n")[:-1]:
            try:
                lines.append(json.loads(text))
            except ValueError:
                break
    return lines


class MetricsFile:
    """Appends to a run's record."""

    def __init__(self, output: str, step: int) -> None:
        """Takes up the record at `step`: what was written of later steps will be done again, and goes.

        The file is replaced, not cut: a process that outlived its driver goes on writing to the old one.
        """
        path = storage.join(output, METRICS)
        kept = [line for line in read_lines(output) if line["step"] <= step]
        storage.write_atomic(path, "".join(json.dumps(line) + "\n" for line in kept).encode())
        self.evaluated = {line["step"] for line in kept if line["kind"] == "eval"}
        self._file = open(path, "a")  # noqa: SIM115 held open on purpose, see above

    def write(self, kind: str, step: int, **values: Any) -> None:
        self._file.write(json.dumps({"kind": kind, "step": step, **values}) + "\n")
        self._file.flush()

    def sync(self) -> None:
        """Makes the lines so far outlive a power cut; called before a checkpoint that follows them is committed."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()
