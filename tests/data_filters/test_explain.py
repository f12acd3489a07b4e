"""`framemill audit key=`: the history of one clip, compared with the dataset's tables."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from framemill.data_filters.explain import explain
from framemill.platform.dataset import Dataset, read_ledger
from framemill.platform.errors import RequestError
from tests.support.console import JOB_S

Row = dict[str, Any]


def clips_of(output: Path) -> dict[str, Row]:
    return {row["key"]: row for row in read_ledger(str(output), "clips").to_pylist()}


def story(output: Path, key: str) -> dict[str, list[str]]:
    """Returns the lines of the history by section."""
    sections: dict[str, list[str]] = {}
    title = ""
    for line in explain(str(output), key):
        title = line[:13].strip() or title
        sections.setdefault(title, []).append(line[13:])
    return sections


def test_a_kept_clip_is_followed_from_its_source_to_its_bytes(attacked: Path) -> None:
    dataset = Dataset.open(str(attacked))
    for row, key in enumerate(dataset.samples["key"].to_pylist()):
        clip, sections = clips_of(attacked)[key], story(attacked, key)
        assert sections["clip"] == [key, "kept"]
        assert clip["source_id"] in sections["source"][1]
        for name in ("motion", "saturation", "technical"):
            (line,) = [line for line in sections["scores"] if line.split()[0] == name]
            assert float(line.split()[1]) == pytest.approx(clip[name], rel=1e-5) and line.endswith(": passes")
        (chosen,) = [line for line in sections["captions"] if line.startswith("the caption")]
        if not clip["sidecar_caption"]:
            assert chosen.endswith(dataset.read(row, "txt").decode())
        shard = (attacked / sections["packed"][0]).read_bytes()
        (mp4,) = [line.split() for line in sections["packed"] if line.startswith(".mp4")]
        size, offset = int(mp4[1]), int(mp4[4])
        assert shard[offset : offset + size] == dataset.read(row, "mp4")


def test_a_rejected_clip_is_told_why(attacked: Path) -> None:
    for key, clip in clips_of(attacked).items():
        if clip["state"] != "filtered":
            continue
        sections = story(attacked, key)
        assert sections["clip"] == [key, f"filtered: {clip['reason']}"] and sections["packed"] == ["no"]
        decisive = [line for line in sections["cut"] + sections["scores"] if "REJECTED" in line]
        assert len(decisive) == 1
        assert decisive[0].startswith(clip["reason"].split()[0]) or clip["reason"].startswith("shorter than")
        assert sections["captions"] == ["none: it was dropped before"]


def test_a_duplicate_is_named_by_the_clip_that_stands_for_it(attacked: Path) -> None:
    (key, *_) = [key for key, clip in clips_of(attacked).items() if clip["path"] == "deep/copy.mp4"]
    assert "also at deep/two-scenes.mp4" in story(attacked, key)["source"]


def test_a_name_writes_no_escape_sequence_on_the_terminal(attacked: Path) -> None:
    for key in clips_of(attacked):
        assert all(line.isprintable() for line in explain(str(attacked), key))


def test_an_unknown_key_is_answered_with_near_ones(attacked: Path) -> None:
    keys = list(clips_of(attacked))
    for asked, named in (
        (keys[3][:-1], keys[3]),
        (keys[3].replace("-", "_"), keys[3]),
        ("0", ""),
        ("deep/copy.mp4", next(key for key, clip in clips_of(attacked).items() if clip["path"] == "deep/copy.mp4")),
        ("", ""),
    ):
        with pytest.raises(RequestError, match="no such clip") as caught:
            explain(str(attacked), asked)
        assert named in str(caught.value) and "\n" not in str(caught.value)


def test_the_command(attacked: Path) -> None:
    key = next(iter(clips_of(attacked)))
    command = [sys.executable, "-m", "framemill.jobs.cli", "audit", f"path={attacked}"]
    done = subprocess.run([*command, f"key={key}"], capture_output=True, text=True, check=False, timeout=JOB_S)
    assert done.returncode == 0 and done.stdout.splitlines() == explain(str(attacked), key)
    done = subprocess.run([*command, "key=none"], capture_output=True, text=True, check=False, timeout=JOB_S)
    assert done.returncode == 2 and "key=none" in done.stderr and len(done.stderr.splitlines()) == 1
