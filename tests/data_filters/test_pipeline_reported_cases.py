"""Small awkward videos after public bug reports, curated by the command in each pack mode; the right answers."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import webdataset

from framemill import open_dataset
from tests.support.console import JOB_S

MODES = ["auto", pytest.param("exact", marks=pytest.mark.slow), pytest.param("copy", marks=pytest.mark.slow)]


class Curated:
    """The dataset that `framemill curate` makes of the cases."""

    def __init__(self, footage: Path, output: Path, mode: str) -> None:
        words = [f"input={footage}", f"output={output}", f"pack.mode={mode}", "dedup.near=null", "workers=2"]
        command = [sys.executable, "-m", "framemill.jobs.cli", "curate", *words]
        self.done = subprocess.run(command, capture_output=True, text=True, timeout=JOB_S)
        assert self.done.returncode == 0, self.done.stderr
        dataset = open_dataset(str(output))
        self.mode, self.footage = mode, footage
        self.sources = {row["path"]: row for row in dataset.ledger("sources").to_pylist()}
        self.samples = {row["key"]: row for row in dataset.to_arrow().to_pylist()}
        clips = dataset.ledger("clips").to_pylist()
        self.clips = [row for row in clips if row["state"] == "kept"]
        self.not_packed = {row["path"] for row in clips if row["cause"] == "not_packed"}
        shards = [str(path) for path in sorted((output / "shards").glob("*.tar"))]
        self.mp4s = {item["__key__"]: item["mp4"] for item in webdataset.WebDataset(shards, shardshuffle=False)}

    def of(self, path: str) -> list[dict]:
        """The samples of a source, in order of time."""
        clips = sorted((clip for clip in self.clips if clip["path"] == path), key=lambda clip: clip["start_s"])
        return [{**clip, **self.samples[clip["key"]], "first": clip["first_frame"]} for clip in clips]

    def frames(self, sample: dict) -> np.ndarray:
        """The frames of a sample's clip, as a reader without Framemill decodes them: its in and out points cut."""
        with av.open(io.BytesIO(self.mp4s[sample["key"]])) as container:
            shown = [
                frame.to_ndarray(format="rgb24")
                for frame in container.decode(video=0)
                if sample["in_s"] - 0.01 <= frame.time < sample["out_s"] - 0.01
            ]
        return np.stack(shown)


@pytest.fixture(scope="module")
def footage(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cases")
    subprocess.run([sys.executable, str(shared / "cases" / "make_cases.py"), str(folder)], check=True, timeout=JOB_S)
    return folder


@pytest.fixture(scope="module", params=MODES)
def curated(
    footage: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Curated]:
    yield Curated(footage, tmp_path_factory.mktemp("curated") / "dataset", request.param)


pytestmark = pytest.mark.ray


def test_rates_and_pauses(curated: Curated) -> None:
    recorded = curated.of("recorded.webm")
    assert all(20 < sample["fps"] < 40 for sample in recorded)
    if curated.mode != "copy":
        assert sum(sample["duration"] for sample in recorded) >= 0.8 * 6.0
    paused = curated.of("paused.mp4")
    assert len(paused) == 2 and all(sample["fps"] == pytest.approx(30, rel=0.01) for sample in paused)
    assert paused[0]["frames"] == 90 and paused[1]["frames"] >= 76  # its texture has a cut ten frames after the pause
    assert all(sample["duration"] < 4 for sample in paused)
    assert sum(sample["frames"] for sample in curated.of("last_frame_lasts.mp4")) >= 90


def test_every_packed_clip_has_its_frames(curated: Curated) -> None:
    for sample in curated.samples.values():
        frames = curated.frames(sample)
        assert len(frames) == sample["frames"]
        if sample["packed"] == "exact":
            assert frames.shape[1:3] == (sample["height"], sample["width"])


def test_only_what_no_mp4_can_hold_a_copy_of_is_not_packed(curated: Curated) -> None:
    """VP8, and the first part of the transport stream; the part of another size is re-encoded in every mode."""
    assert curated.not_packed == ({"recorded.webm", "size_changes.ts"} if curated.mode == "copy" else set())


def test_orientation_and_size(curated: Curated) -> None:
    (mirrored,) = curated.of("mirrored.mp4")
    with av.open(str(curated.footage / "mirrored.mp4")) as container:
        stored = next(container.decode(video=0)).to_ndarray(format="rgb24")
    shown = curated.frames(mirrored)[0]
    if mirrored["packed"] == "copy":  # the display matrix is copied too, which this reader does not apply
        shown = shown[:, ::-1]
    assert np.abs(shown.astype(int) - stored[:, ::-1]).mean() < 6
    sizes = {(sample["width"], sample["height"]) for sample in curated.of("size_changes.ts")}
    assert sizes == {(320, 180), (180, 320)} or curated.mode == "copy"
    assert all((clip["end_s"] <= 5.01) != (clip["start_s"] >= 4.99) for clip in curated.of("size_changes.ts"))


def test_hdr_and_interlaced(curated: Curated) -> None:
    (hdr,) = curated.of("pq.mp4")
    white = np.median(curated.frames(hdr)[:, 70:110, 130:190])
    assert hdr["packed"] == "exact" and white > 200
    with av.open(io.BytesIO(curated.mp4s[hdr["key"]])) as container:
        frame = next(container.decode(video=0))
    assert (int(frame.color_trc), int(frame.color_primaries)) == (1, 1)
    assert curated.sources["interlaced.mp4"]["interlaced"] and not curated.sources["mirrored.mp4"]["interlaced"]
    (fields,) = curated.of("interlaced.mp4")
    luma = curated.frames(fields).mean(axis=3)
    with av.open(str(curated.footage / "interlaced.mp4")) as container:
        stored = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]).mean(axis=3)
    combs = [np.abs(each[:, 1:-1] - (each[:, :-2] + each[:, 2:]) / 2).mean() for each in (luma, stored)]
    assert fields["packed"] == "exact" and combs[0] < 0.4 * combs[1]


def test_sound_and_sidecars(curated: Curated) -> None:
    assert curated.sources["song.mp4"]["state"] == "failed"
    assert "no video stream" in curated.sources["song.mp4"]["reason"]
    assert [sample["caption"] for sample in curated.of("cut_emoji.mp4")] == ["A dog runs"]
    assert [sample["caption"] for sample in curated.of("byte_order_mark.mp4")] == ["A brown dog runs over the grass."]
    (listed,) = curated.of("caption_list.mp4")
    texts = [caption["text"] for caption in listed["captions"] if caption["source"] == "sidecar"]
    assert texts == ["A dog runs.", "A brown dog runs."]
