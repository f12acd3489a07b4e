"""A checkpoint is there whole or not at all, and nothing else is loaded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from framemill.platform.errors import FramemillError
from framemill.training.run.checkpoints import (
    MANIFEST,
    Checkpoint,
    CheckpointState,
    begin_checkpoint,
    checkpoint_name,
    commit_checkpoint,
    hash_files,
    latest_checkpoint,
    list_checkpoints,
    unfinished_folder,
    verify_checkpoint,
)
from framemill.training.run.identity import RunIdentity

STATE = CheckpointState("low", 1, RunIdentity(config="c", data="d", workers=2, order={"low": "f"}))


def make(output: Path, name: str, keep: int = 9) -> Checkpoint:
    begin_checkpoint(str(output), name)
    folder = unfinished_folder(str(output), name)
    (folder / "engine").mkdir()
    (folder / "engine" / "weights.pt").write_bytes(os.urandom(1000))
    STATE.save(folder)
    files = {n: e for rank in (0, 1) for n, e in hash_files(folder, rank, 2).items()}
    return commit_checkpoint(str(output), name, files, keep)


def test_a_committed_checkpoint_verifies_and_the_newest_is_the_latest(tmp_path: Path) -> None:
    for step in (5, 10, 15):
        made = make(tmp_path, checkpoint_name("low", step), keep=2)
        verify_checkpoint(made)
    assert [checkpoint.step for checkpoint in list_checkpoints(str(tmp_path))] == [10, 15]
    assert latest_checkpoint(str(tmp_path)) == made
    assert (tmp_path / "latest").read_text() == "low-000015\n"
    assert made.read_state() == STATE


def test_one_that_was_being_written_does_not_count_and_goes(tmp_path: Path) -> None:
    made = make(tmp_path, "low-000005")
    begin_checkpoint(str(tmp_path), "low-000010")
    half = unfinished_folder(str(tmp_path), "low-000010")
    (half / "weights.pt").write_bytes(b"half")
    assert latest_checkpoint(str(tmp_path)) == made
    begin_checkpoint(str(tmp_path), "low-000009")
    assert not half.exists()


@pytest.mark.parametrize("harm", ["manifest", "missing", "short", "flipped", "extra"])
def test_a_damaged_checkpoint_is_refused_by_name(tmp_path: Path, harm: str) -> None:
    made = make(tmp_path, "low-000005")
    weights = made.folder / "engine" / "weights.pt"
    if harm == "manifest":
        (made.folder / MANIFEST).unlink()
    elif harm == "missing":
        weights.unlink()
    elif harm == "short":
        weights.write_bytes(weights.read_bytes()[:-1])
    elif harm == "flipped":
        data = bytearray(weights.read_bytes())
        data[500] ^= 1
        weights.write_bytes(data)
    else:
        (made.folder / "engine" / "more.pt").write_bytes(b"")
    with pytest.raises(FramemillError, match=r"low-000005: .*; remove this checkpoint"):
        verify_checkpoint(made)


def test_damage_is_found_by_whichever_rank_hashes_the_file(tmp_path: Path) -> None:
    made = make(tmp_path, "low-000005")
    (made.folder / "engine" / "weights.pt").write_bytes(b"x" * 1000)
    refused = 0
    for rank in range(2):
        try:
            verify_checkpoint(made, rank, 2)
        except FramemillError:
            refused += 1
    assert refused == 1
