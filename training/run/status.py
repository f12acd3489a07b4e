"""Progress of a training run, read from its run directory."""

from __future__ import annotations

from framemill.platform import storage
from framemill.training.run.metrics_file import read_lines


def training_status(path: str, names: list[str]) -> list[str]:
    """Returns how far a training run is, one line a fact; none if the folder is no run directory.

    Args:
        path: the folder, as a path or URI.
        names: names of the files in the folder.
    """
    lines = []
    steps = [line for line in read_lines(path) if "loss" in line]
    if steps:
        last = steps[-1]
        lines.append(f"training: step {last['step']} of stage {last['stage']}, loss {last['loss']:.4f}")
    if "latest" in names:
        lines.append(f"latest checkpoint: {storage.read_bytes(storage.join(path, 'latest')).decode().strip()}")
    if "export" in names:
        lines.append("training complete: the model is in export/")
    return lines
