"""Checkpoints: folders that are complete or do not exist.

All workers write `checkpoints/<stage>-<step>/` under a hidden name; the files are hashed and listed in `manifest.json`,
then the folder is renamed. The file `latest` next to `checkpoints/` names the newest checkpoint. A folder that does not
match its manifest is not loaded.

    checkpoints/low-000200/
      manifest.json        sha256 and size of every other file, written last
      state.json           the run's step, and the identity of run and data that it can be resumed with
      engine/              DeepSpeed's files: weights and each worker's share of the optimiser states
      model.json           the model's config, as diffusers names it
      model.safetensors    the full state dict of the model
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from framemill.platform import storage
from framemill.platform.errors import FramemillError
from framemill.training.run.identity import RunIdentity

MANIFEST = "manifest.json"
"""File of a checkpoint that lists all other files."""
_STATE = "state.json"


class FileEntry(TypedDict):
    """A file's entry in the manifest."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class CheckpointState:
    """Content of `state.json`."""

    stage: str
    """Name of the stage in training."""
    step: int
    """Optimiser steps of the run that the weights include."""
    identity: RunIdentity
    """Identity of the run."""

    def save(self, folder: Path) -> None:
        """Writes `state.json` to a checkpoint's folder."""
        values = {"stage": self.stage, "step": self.step, "identity": self.identity.values()}
        (folder / _STATE).write_text(json.dumps(values, indent=1, sort_keys=True))


@dataclass(frozen=True)
class Checkpoint:
    """A committed checkpoint."""

    folder: Path
    """Folder of the checkpoint."""

    @property
    def name(self) -> str:
        """`<stage>-<step>`."""
        return self.folder.name

    @property
    def step(self) -> int:
        """Optimiser steps of the run that the weights include."""
        return int(self.name.rpartition("-")[2])

    def read_state(self) -> CheckpointState | None:
        """Returns the content of `state.json`; None for a checkpoint that `convert` wrote, which has no such file."""
        path = self.folder / _STATE
        if not path.exists():
            return None
        values = json.loads(path.read_text())
        return CheckpointState(values["stage"], values["step"], RunIdentity.parse(values["identity"]))


def checkpoint_name(stage: str, step: int) -> str:
    """Returns the folder name of a checkpoint."""
    return f"{stage}-{step:06d}"


def list_checkpoints(output: str) -> list[Checkpoint]:
    """Returns the committed checkpoints of a run directory, oldest first."""
    folder = Path(output) / "checkpoints"
    names = [name for name in storage.list_dir(str(folder)) if not name.startswith(".")]
    return sorted((Checkpoint(folder / name) for name in names), key=lambda checkpoint: checkpoint.step)


def latest_checkpoint(output: str) -> Checkpoint | None:
    """Returns the newest committed checkpoint, from which a run resumes; None if there is none."""
    committed = list_checkpoints(output)
    return committed[-1] if committed else None


def unfinished_folder(output: str, name: str) -> Path:
    """Returns the hidden folder in which a checkpoint is written."""
    return Path(output) / "checkpoints" / f".tmp-{name}"


def begin_checkpoint(output: str, name: str) -> None:
    """Makes the empty folder in which a checkpoint is written, and removes unfinished folders of earlier attempts."""
    for leftover in (Path(output) / "checkpoints").glob(".tmp-*"):
        shutil.rmtree(leftover)
    unfinished_folder(output, name).mkdir(parents=True)


def hash_files(folder: Path, rank: int = 0, workers: int = 1) -> dict[str, FileEntry]:
    """Flushes a rank's share of a folder's files to disk, and returns the manifest entries by relative path."""
    entries: dict[str, FileEntry] = {}
    for name in _file_names(folder)[rank::workers]:
        path = folder / name
        storage.sync_dir(str(path))  # fsync works on any file descriptor
        entries[name] = {"sha256": storage.sha256_file(str(path)), "bytes": path.stat().st_size}
    return entries


def _file_names(folder: Path) -> list[str]:
    """Returns every file below a folder except the manifest, relative to the folder and sorted."""
    names = (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in names if name != MANIFEST)


def commit_checkpoint(output: str, name: str, files: dict[str, FileEntry], keep: int) -> Checkpoint:
    """Commits the unfinished folder of a checkpoint, updates `latest`, and removes all but the newest checkpoints.

    Args:
        output: run directory.
        name: name of the checkpoint.
        files: manifest entries of all files of the checkpoint.
        keep: number of checkpoints to keep.
    """
    folder = unfinished_folder(output, name)
    text = json.dumps({"files": files}, indent=1, sort_keys=True) + "\n"
    storage.write_atomic(str(folder / MANIFEST), text.encode())
    for inside in {folder, *(path for path in folder.rglob("*") if path.is_dir())}:
        storage.sync_dir(str(inside))
    committed = Checkpoint(folder.parent / name)
    os.rename(folder, committed.folder)
    storage.sync_dir(str(folder.parent))
    storage.write_atomic(storage.join(output, "latest"), f"{name}\n".encode())
    for old in list_checkpoints(output)[:-keep]:
        shutil.rmtree(old.folder)
    return committed


def verify_checkpoint(checkpoint: Checkpoint, rank: int = 0, workers: int = 1) -> None:
    """Checks a checkpoint against the manifest: the list of files, and the hashes of a rank's share of the files.

    Raises:
        FramemillError: a file is missing, extra or changed.
    """
    try:
        expected: dict[str, FileEntry] = json.loads((checkpoint.folder / MANIFEST).read_text())["files"]
    except (OSError, ValueError, KeyError) as error:
        raise FramemillError(_damage(checkpoint, f"has no readable {MANIFEST}")) from error
    if different := sorted(expected.keys() ^ set(_file_names(checkpoint.folder))):
        problem = "missing" if different[0] in expected else "not in the manifest"
        raise FramemillError(_damage(checkpoint, f"{different[0]} is {problem}"))
    for name, entry in hash_files(checkpoint.folder, rank, workers).items():
        if entry != expected[name]:
            raise FramemillError(_damage(checkpoint, f"{name} is not as it was written"))


def _damage(checkpoint: Checkpoint, problem: str) -> str:
    advice = "remove this checkpoint, and the same command resumes from the previous checkpoint"
    return f"{checkpoint.folder}: {problem}; {advice}"
