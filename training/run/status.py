"""Progress of a training run, read from its run directory."""

from __future__ import annotations

from framemill.platform import storage
from framemill.training.run.metrics_file import EvalLine, TrainLine, read_lines


def training_status(path: str, names: list[str]) -> list[str]:
    """Returns lines about the progress of a training run; an empty list if the folder is not a run directory.

    Args:
        path: the folder, as a path or URI.
        names: names of the files in the folder.
    """
    lines = []
    losses = [
        (line.step, line.stage, line.loss if isinstance(line, TrainLine) else line.losses.loss)
        for line in read_lines(path)
        if isinstance(line, TrainLine | EvalLine)
    ]
    if losses:
        step, stage, loss = losses[-1]
        lines.append(f"training: step {step} of stage {stage}, loss {loss:.4f}")
    if "latest" in names:
        lines.append(f"latest checkpoint: {storage.read_bytes(storage.join(path, 'latest')).decode().strip()}")
    if "export" in names:
        lines.append("training complete: the model is in export/")
    return lines
