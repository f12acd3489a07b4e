"""Checkpoints as folders that are there whole or not at all.

`checkpoints/<stage>-<step>/` is written under a hidden name by all workers, hashed, listed in its `manifest.json`,
and then renamed; a file `latest` beside the folder names the newest. A folder without its whole manifest is not loaded.

    checkpoints/low-000200/
      manifest.json        sha256 and size of every other file, written last
      state.json           the run's step, and the identity of run and data that it may go on with
      engine/              DeepSpeed's files: weights and each worker's part of the optimiser
      model.json           the model's config, as diffusers names it
      model.safetensors    the whole weights
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framemill.platform import storage
from framemill.platform.errors import FramemillError

MANIFEST = "manifest.json"
STATE = "state.json"
FileEntry = dict[str, Any]
"""{"sha256": hex, "bytes": size} of a file."""


@dataclass(frozen=True)
class Checkpoint:
    """A committed checkpoint."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def step(self) -> int:
        """Optimiser steps of the whole run that went into it."""
        return int(self.name.rpartition("-")[2])

    @property
    def state(self) -> dict[str, Any]:
        return json.loads((self.folder / STATE).read_text())


def checkpoint_name(stage: str, step: int) -> str:
    return f"{stage}-{step:06d}"


def checkpoints(output: str) -> list[Checkpoint]:
    """The committed checkpoints of a run directory, oldest first."""
    folder = Path(output) / "checkpoints"
    names = [name for name in storage.list_dir(str(folder)) if not name.startswith(".")]
    return sorted((Checkpoint(folder / name) for name in names), key=lambda found: found.step)


def latest(output: str) -> Checkpoint | None:
    """The checkpoint to go on from: the newest that was committed."""
    found = checkpoints(output)
    return found[-1] if found else None


def unfinished(output: str, name: str) -> Path:
    """The hidden folder in which a checkpoint is written."""
    return Path(output) / "checkpoints" / f".tmp-{name}"


def begin(output: str, name: str) -> None:
    """Makes the empty folder to write a checkpoint into; what earlier attempts left of any goes."""
    for leftover in (Path(output) / "checkpoints").glob(".tmp-*"):
        shutil.rmtree(leftover)
    unfinished(output, name).mkdir(parents=True)


def hash_files(folder: Path, rank: int = 0, workers: int = 1) -> dict[str, FileEntry]:
    """Flushes to disk and hashes a rank's share of a folder's files, by path relative to it."""
    entries = {}
    for name in file_names(folder)[rank::workers]:
        path = folder / name
        storage.sync_dir(str(path))  # fsync takes any file descriptor
        entries[name] = {"sha256": storage.sha256_file(str(path)), "bytes": path.stat().st_size}
    return entries


def file_names(folder: Path) -> list[str]:
    """Every file below a folder but its manifest, relative to it and sorted."""
    names = (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in names if name != MANIFEST)


def commit(output: str, name: str, folder: Path, files: dict[str, FileEntry], keep: int) -> Checkpoint:
    """Makes a written folder a checkpoint, points `latest` at it, and removes all but the `keep` newest."""
    text = json.dumps({"files": files}, indent=1, sort_keys=True) + "\n"
    storage.write_atomic(str(folder / MANIFEST), text.encode())
    for inside in {folder, *(path for path in folder.rglob("*") if path.is_dir())}:
        storage.sync_dir(str(inside))
    committed = Checkpoint(folder.parent / name)
    os.rename(folder, committed.folder)
    storage.sync_dir(str(folder.parent))
    storage.write_atomic(storage.join(output, "latest"), f"{name}\n".encode())
    for old in checkpoints(output)[:-keep]:
        shutil.rmtree(old.folder)
    return committed


def verify(checkpoint: Checkpoint, rank: int = 0, workers: int = 1) -> None:
    """Checks a checkpoint against its manifest: the list of files, and the hashes of a rank's share of them.

    Raises:
        FramemillError: a file is missing, extra, or not what was written; the message says what to do.
    """
    try:
        expected: dict[str, FileEntry] = json.loads((checkpoint.folder / MANIFEST).read_text())["files"]
    except (OSError, ValueError, KeyError) as error:
        raise FramemillError(damage(checkpoint, f"has no readable {MANIFEST}")) from error
    if odd := sorted(expected.keys() ^ set(file_names(checkpoint.folder))):
        raise FramemillError(damage(checkpoint, f"{odd[0]} is {'missing' if odd[0] in expected else 'not listed'}"))
    for name, entry in hash_files(checkpoint.folder, rank, workers).items():
        if entry != expected[name]:
            raise FramemillError(damage(checkpoint, f"{name} is not as it was written"))


def damage(checkpoint: Checkpoint, what: str) -> str:
    return f"{checkpoint.folder}: {what}; remove this checkpoint and the same command goes on from the one before"
