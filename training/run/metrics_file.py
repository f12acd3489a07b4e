"""`metrics.jsonl`, the metrics of a run: one JSON object per line, every step once, however often the run is resumed.

Kinds of lines: "start" (a process began or resumed the run), "baseline" (the best linear predictor's loss), "train"
(one step) and "eval" (held-out losses after a step).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar

from framemill.platform import storage

METRICS = "metrics.jsonl"
"""Name of the file in a run directory."""
_LOSS, _SIGMA_LOSS = "loss_", "loss_sigma_"
"""Prefixes of the names of a task's loss and of the loss at one noise level."""


@dataclass(frozen=True)
class StartLine:
    """A process began or resumed the run."""

    kind: ClassVar[str] = "start"
    step: int
    """Number of optimiser steps done before this start."""
    workers: int
    """Number of ranks."""
    device: str
    """Device of rank 0."""
    pid: int
    """Process id of rank 0."""
    attempt: int
    """Attempt number of the driver's lock."""


@dataclass(frozen=True)
class BaselineLine:
    """Statistics of the held-out clips, written before training."""

    kind: ClassVar[str] = "baseline"
    step: int
    """Always 0."""
    linear_loss: float
    """Held-out loss of the best linear predictor."""
    variance: list[float]
    """Variance of each latent channel."""


@dataclass(frozen=True)
class TrainLine:
    """One optimiser step."""

    kind: ClassVar[str] = "train"
    step: int
    """Step of the run, from 1."""
    stage: str
    """Name of the stage."""
    stage_step: int
    """Step of the stage, from 1."""
    task: str
    """"video" or "images"."""
    bucket: str
    """Bucket of the batch."""
    loss: float
    """Mean loss over the global batch."""
    grad_norm: float
    """Global L2 norm of the gradient before clipping."""
    lr: float
    """Learning rate."""
    samples: int
    """Number of clips in the global batch."""
    tokens: int
    """Number of video tokens in the global batch."""
    step_s: float
    """Duration of the step in seconds."""
    tokens_per_s: float
    """Video tokens per second, all ranks together."""


@dataclass(frozen=True)
class HeldOutLosses:
    """Mean losses over the held-out clips."""

    loss: float
    """Text to video."""
    other_captions: float
    """Text to video, with captions exchanged among the clips."""
    by_task: dict[str, float] = field(default_factory=dict)
    """Further tasks of the last stage: "image_to_video" and "images"."""
    by_sigma: dict[str, float] = field(default_factory=dict)
    """Text to video by noise level (sigma) with two decimals, e.g. "0.75"."""

    def values(self) -> dict[str, float]:
        """Returns the losses under their names in a metrics line."""
        return {
            "loss": self.loss,
            "loss_other_captions": self.other_captions,
            **{f"{_LOSS}{task}": loss for task, loss in self.by_task.items()},
            **{f"{_SIGMA_LOSS}{sigma}": loss for sigma, loss in self.by_sigma.items()},
        }

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> HeldOutLosses:
        """Returns the losses of a metrics line."""
        by_sigma = {name.removeprefix(_SIGMA_LOSS): x for name, x in values.items() if name.startswith(_SIGMA_LOSS)}
        by_task = {
            name.removeprefix(_LOSS): loss
            for name, loss in values.items()
            if name.startswith(_LOSS) and not name.startswith(_SIGMA_LOSS) and name != "loss_other_captions"
        }
        return cls(values["loss"], values["loss_other_captions"], by_task, by_sigma)


@dataclass(frozen=True)
class EvalLine:
    """Held-out losses after a step."""

    kind: ClassVar[str] = "eval"
    step: int
    """Step of the run; 0: before training."""
    stage: str
    """Stage that is being trained."""
    losses: HeldOutLosses
    """The losses, always in the buckets of the last stage."""


MetricsLine = StartLine | BaselineLine | TrainLine | EvalLine
"""One line of the file."""
_LINE_TYPES: dict[str, type[StartLine | BaselineLine | TrainLine]] = {
    line.kind: line for line in (StartLine, BaselineLine, TrainLine)
}


def line_values(line: MetricsLine) -> dict[str, Any]:
    """Returns the JSON object of a line, without its kind."""
    if isinstance(line, EvalLine):
        return {"step": line.step, "stage": line.stage, **line.losses.values()}
    return asdict(line)


def parse_line(values: Mapping[str, Any]) -> MetricsLine:
    """Returns the line of a JSON object; names that this version does not know are ignored.

    Raises:
        ValueError: the kind is unknown, or a value is missing.
    """
    try:
        if values["kind"] == EvalLine.kind:
            return EvalLine(values["step"], values["stage"], HeldOutLosses.parse(values))
        line = _LINE_TYPES[values["kind"]]
        return line(**{entry.name: values[entry.name] for entry in fields(line)})
    except KeyError as error:
        raise ValueError(f"{METRICS}: a line has no {error.args[0]}") from error


def read_lines(output: str) -> list[MetricsLine]:
    """Returns the lines of a run; a line that was cut off ends the list."""
    return [parse_line(json.loads(text)) for text in _read_texts(output)]


def _read_texts(output: str) -> list[str]:
    """Returns the complete lines of a run's file as text."""
    path = storage.join(output, METRICS)
    texts: list[str] = []
    if storage.exists(path):
        for text in storage.read_bytes(path).split(b"\n")[:-1]:
            try:
                json.loads(text)
            except ValueError:
                break
            texts.append(text.decode())
    return texts


class MetricsFile:
    """Appends lines to a run's file."""

    def __init__(self, output: str, step: int) -> None:
        """Opens the file to continue after a step; lines of later steps are removed, since later steps run again.

        The file is replaced, not truncated: a process that outlived its driver continues to write to the old file.

        Args:
            output: run directory.
            step: last step that the weights include.
        """
        path = storage.join(output, METRICS)
        kept = [text + "\n" for text in _read_texts(output) if json.loads(text)["step"] <= step]
        storage.write_atomic(path, "".join(kept).encode())
        self._file = open(path, "a")  # noqa: SIM115 (open until `close`)

    def write(self, line: MetricsLine) -> None:
        """Appends a line."""
        self._file.write(json.dumps({"kind": line.kind, **line_values(line)}) + "\n")
        self._file.flush()

    def sync(self) -> None:
        """Flushes the lines to disk; called before the checkpoint of their steps is committed."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
