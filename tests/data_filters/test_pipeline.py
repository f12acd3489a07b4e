"""The whole job on Ray: no clip is lost, and the bytes are the same for any number of workers and after a kill."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import framemill.data_filters as data_filters
from framemill.data_filters.config import CurateConfig
from framemill.data_filters.pipeline import curate
from framemill.data_filters.report.summary import CurateResult
from framemill.platform.audit import audit
from framemill.platform.dataset import Dataset, read_ledger
from framemill.platform.errors import FramemillError, RequestError
from framemill.platform.vision.video import read_video
from tests.support.console import kill_job_when
from tests.support.curation_output import Configure, finished_entries, read_journal, shard_bytes, source_states

Made = tuple[Path, CurateResult]


def clip_states(output: Path, path: str) -> list[tuple[str, str | None]]:
    rows = read_ledger(str(output), "clips").to_pylist()
    return [(row["state"], row["reason"]) for row in rows if row["path"] == path]


@pytest.fixture(scope="module")
def made(footage: Path, configure: Configure, tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> Made:
    """The dataset of the test footage, curated by two workers."""
    output = tmp_path_factory.mktemp("made") / "out"
    summary = curate(configure(footage, output, "workers=2", "pack.samples_per_shard=3"))
    return output, summary


@pytest.fixture(scope="module")
def real(
    shared_videos: Path, configure: Configure, tmp_path_factory: pytest.TempPathFactory, ray_session: None
) -> Path:
    """The dataset of the shared clips, curated by two workers without interruption."""
    output = tmp_path_factory.mktemp("real") / "out"
    curate(configure(shared_videos, output, "workers=2", "pack.samples_per_shard=4"))
    return output


def test_every_source_ends_in_its_true_state(made: Made) -> None:
    output, summary = made
    states = source_states(output)
    assert states["shot 0 \u00e9.mp4"] == states["deep/copy.mp4"] == ("ok", None)
    assert states["deep/two-scenes.mp4"] == ("duplicate", "the same content as deep/copy.mp4")
    assert states["static.mp4"] == ("filtered", "motion below 0.25")
    assert states["dark.mp4"] == ("filtered", "technical below 0.25")
    assert states["vivid.mp4"] == ("filtered", "saturation above 248")
    assert states["short.mp4"] == ("filtered", "shorter than 2 s")
    assert states["broken.mp4"][0] == states["empty.mp4"][0] == states["words.mp4"][0] == "failed"
    assert "breaks off" in states["broken.mp4"][1] or "damaged" in states["broken.mp4"][1]
    assert ("kept", None) in clip_states(output, "broken.mp4"), "its complete clip stands"
    assert len(states) == 13 and not any("unseen" in path for path in states)
    assert summary.clips == {"filtered": 4, "kept": 7}
    assert audit(str(output)).problems == []


def test_shards_open_in_plain_webdataset(made: Made) -> None:
    import webdataset

    output, _ = made
    dataset = Dataset.open(str(output))
    shards = [str(output / "shards" / shard["name"]) for shard in dataset.index["shards"]]
    samples = list(webdataset.WebDataset(shards, shardshuffle=False))
    assert [sample["__key__"] for sample in samples] == dataset.samples["key"].to_pylist()
    for row, sample in enumerate(samples):
        assert sample["txt"].decode() == dataset.samples["caption"][row].as_py()
        assert json.loads(sample["json"])["key"] == sample["__key__"]
        assert dataset.read(row, "mp4") == sample["mp4"]


def test_captions_and_provenance_come_from_beside_the_video(made: Made) -> None:
    output, _ = made
    dataset = Dataset.open(str(output))
    facts = [json.loads(dataset.read(row, "json")) for row in range(len(dataset))]
    by_path = {fact["path"]: fact for fact in facts}
    assert by_path["shot 0 \u00e9.mp4"]["caption"] == "A grey disc on red."
    assert by_path["shot 1 \u00e9.mp4"]["caption"] == "A disc on green."
    assert by_path["shot 1 \u00e9.mp4"]["provenance"] == {"tags": ["disc"], "licence": "CC0"}
    assert "mostly blue" in by_path["shot 2 \u00e9.mp4"]["caption"] and "up" in by_path["shot 2 \u00e9.mp4"]["caption"]


def test_a_packed_clip_is_exactly_its_frames(made: Made, footage: Path, tmp_path: Path) -> None:
    output, _ = made
    dataset = Dataset.open(str(output))
    for row in range(len(dataset)):
        fact = json.loads(dataset.read(row, "json"))
        if fact["path"] == "deep/copy.mp4":
            (tmp_path / "clip.mp4").write_bytes(dataset.read(row, "mp4"))
            clip = read_video(str(tmp_path / "clip.mp4"), start_s=fact["in_s"], end_s=fact["out_s"])
            first = round(fact["start_s"] * 16)
            whole = read_video(str(footage / "deep" / "copy.mp4"))[first : first + fact["frames"]]
            assert clip.shape == whole.shape == (38, 180, 320, 3)
            assert np.abs(clip.astype(int) - whole).mean() < 4


def test_one_worker_gives_the_bytes_of_two(made: Made, footage: Path, configure: Configure, tmp_path: Path) -> None:
    output, _ = made
    measured_by = {entry["pid"] for entry in read_journal(output) if entry.get("path") and entry["event"] == "done"}
    assert len(measured_by) == 2
    curate(configure(footage, tmp_path / "one", "workers=1", "pack.samples_per_shard=3"))
    assert shard_bytes(tmp_path / "one") == shard_bytes(output)


def test_done_work_is_not_done_again_but_changed_work_is(made: Made, footage: Path, configure: Configure) -> None:
    output, summary = made
    before, entries = shard_bytes(output), len(read_journal(output))
    again = data_filters.curate(**keys_of(configure(footage, output, "workers=2", "pack.samples_per_shard=3")))
    assert again == summary and shard_bytes(output) == before and len(read_journal(output)) == entries
    (footage / "static.mp4").touch()
    curate(configure(footage, output, "workers=2", "pack.samples_per_shard=3"))
    assert {entry["path"] for entry in read_journal(output)[entries:]} == {"static.mp4"}
    assert shard_bytes(output) == before


def keys_of(config: CurateConfig) -> dict[str, Any]:
    return {
        "input": config.input,
        "output": config.output,
        "pack": {"samples_per_shard": 3},
        "tracking": {"uri": config.tracking.uri},
        "workers": 2,
    }


def test_wrong_requests(made: Made, footage: Path, configure: Configure, tmp_path: Path) -> None:
    output, _ = made
    with pytest.raises(RequestError, match=r"clip\.max_seconds was 5\.1, is 5\.0"):
        curate(configure(footage, output, "clip.max_seconds=5"))
    with pytest.raises(RequestError, match="other sources"):
        curate(configure(footage / "deep", output, "workers=2", "pack.samples_per_shard=3"))
    with pytest.raises(RequestError, match=r"^input="):
        curate(configure(tmp_path / "nowhere", tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    wrong = (
        "select.bands.motion.min=x",
        "pack.mode=other",
        "pack.fps=8 pack.mode=copy",
        "filters=[beauty]",
        "clip.min_seconds=20",
        "select.bands.flicker.mix=1",
        "select.bands.unheard_of.min=1",
        "captions=[]",
    )
    for word in wrong:
        with pytest.raises(RequestError, match=word.split("=")[0].split(".")[0]):
            configure(footage, tmp_path / "out", *word.split())


def test_too_many_failures_fail_the_job(footage: Path, configure: Configure, tmp_path: Path, ray_session: None) -> None:
    with pytest.raises(FramemillError, match="max_failed"):
        curate(configure(footage / "words.mp4", tmp_path / "out", "max_failed=0.5"))
    assert not (tmp_path / "out" / "index.json").exists()


def test_every_real_clip_ends_in_its_true_state(real: Path) -> None:
    states = source_states(real)
    assert len(states) == 15
    assert states["corrupted.mp4"] == ("failed", "damaged at 3.00 s (invalid data found when processing input)")
    short = {"h264_10bit.mp4", "h265_128px.mp4", "rotated_90.mov", "short_3_frames.mov"}
    assert {path for path, state in states.items() if state == ("filtered", "shorter than 2 s")} == short
    assert Counter(state for state, _ in states.values()) == {"ok": 9, "filtered": 5, "failed": 1}
    assert states["hiker_tiny.mp4"] == ("filtered", "near duplicate"), "hiker.mp4 at another size"
    assert audit(str(real)).problems == []


def test_killed_half_way_it_goes_on_and_ends_with_the_same_bytes(
    made: Made, footage: Path, configure: Configure, tmp_path: Path
) -> None:
    """Two uninterrupted workers against a killed single worker, so any number of workers gives the same bytes."""
    output = tmp_path / "out"
    job = ["curate", f"input={footage}", f"output={output}", "workers=1", "pack.samples_per_shard=3"]
    kill_job_when(job, lambda: len(finished_entries(output)) >= 4)
    assert not (output / "index.json").exists()
    curate(configure(footage, output, "workers=1", "pack.samples_per_shard=3"))
    assert shard_bytes(output) == shard_bytes(made[0])
    entries = [entry for entry in read_journal(output) if "path" in entry]
    finished: set[str] = set()
    for entry in entries:
        assert entry["path"] not in finished, "nothing finished is decoded again"
        if entry["event"] == "done":
            finished.add(entry["path"])
    takeover = next(i for i, entry in enumerate(entries) if entry["attempt"] == 2)
    assert takeover >= 8 and all(entry["attempt"] == 2 for entry in entries[takeover:]), "no orphan writes on"
    assert Counter(entry["event"] for entry in entries)["done"] == 13


def test_the_short_ones_are_kept_upright_without_a_minimum(
    shared_videos: Path, configure: Configure, tmp_path: Path, ray_session: None
) -> None:
    (tmp_path / "in").mkdir()
    for name in ("h264_10bit.mp4", "h265_128px.mp4", "rotated_90.mov", "short_3_frames.mov"):
        (tmp_path / "in" / name).symlink_to(shared_videos / name)
    curate(configure(tmp_path / "in", tmp_path / "out", "clip.min_seconds=0", "pack.mode=exact", "workers=2"))
    assert set(source_states(tmp_path / "out").values()) == {("ok", None)}
    dataset = Dataset.open(str(tmp_path / "out"))
    assert len(dataset) == 4
    facts = {json.loads(dataset.read(row, "json"))["path"]: row for row in range(len(dataset))}
    row = facts["rotated_90.mov"]
    (tmp_path / "clip.mp4").write_bytes(dataset.read(row, "mp4"))
    ours = read_video(str(tmp_path / "clip.mp4"))
    ok, theirs = cv2.VideoCapture(str(shared_videos / "rotated_90.mov")).read()
    assert ok and ours.shape == (3, 568, 320, 3)
    assert np.abs(ours[0].astype(int) - theirs[:, :, ::-1]).mean() < 6
    scores = dataset.samples.to_pylist()[row]
    assert scores["motion"] > 0 and 0 < scores["technical"] < 1 and 0 < scores["saturation"] < 255
