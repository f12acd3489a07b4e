"""How clips are cut out: `auto` chooses rightly, a copied clip is read as exactly its frames, and nothing varies."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import webdataset
from av.video.frame import PictureType, VideoFrame

from framemill.data_filters.ledger.clip_table import ClipTable
from framemill.data_filters.pack.config import PackConfig
from framemill.data_filters.pack.cut import cut_clip
from framemill.data_filters.pack.plan import ClipPlan, plan_clip
from framemill.data_filters.pipeline import curate
from framemill.data_filters.sources.sidecars import provenance
from framemill.platform.audit import audit
from framemill.platform.dataset import Dataset
from framemill.platform.vision.reel import Scene, render_scene
from framemill.platform.vision.video import VideoError, read_video
from tests.support.curation_output import Configure

FPS = 16
KEYS = (0, 25, 40)
"""The frames that are key frames."""


def footage(path: Path, codec: str = "libx264", pixels: str = "yuv420p", seconds: float = 4.0, cut: int = 0) -> str:
    """One moving scene with key frames at KEYS, `cut` columns narrower than drawn."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 320 - cut, 180, pixels
        if codec == "libx264":
            stream.options = {"x264-params": "keyint=1000:scenecut=0:bframes=2", "forced-idr": "1"}
        stream.codec_context.thread_count = 1
        for index, rgb in enumerate(render_scene(Scene("red", "grey", pace="quickly"), 3, seconds)):
            whole = np.ascontiguousarray(rgb[:, : 320 - cut])
            picture = VideoFrame.from_ndarray(whole, format="rgb24").reformat(format=pixels)
            picture.pts, picture.time_base = index, Fraction(1, FPS)
            picture.pict_type = PictureType.I if index in KEYS else PictureType.NONE
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return str(path)


def clip_of(first: int, frames: int, width: int = 320, height: int = 180, **keys: Any) -> ClipPlan:
    """The plan of the clip of so many frames from the first."""
    row = {
        "key": f"clip-{first}",
        "path": "made.mp4",
        "source_id": "0" * 64,
        "start_s": first / FPS,
        "end_s": (first + frames) / FPS,
        "frames": frames,
        "width": width,
        "height": height,
        "fps": float(FPS),
        "caption": "",
        "captions": [],
        "provenance": provenance(),
    }
    return plan_clip(ClipTable.of([row])[0], "made.mp4", "", PackConfig(**keys), [])


def read_cut(mp4: bytes, in_s: float, out_s: float, scratch: Path) -> np.ndarray:
    (scratch / "cut.mp4").write_bytes(mp4)
    return read_video(str(scratch / "cut.mp4"), start_s=in_s, end_s=out_s)


@pytest.mark.parametrize(
    ("first", "packed", "lead"),
    [
        *((0, "copy", 0), (5, "copy", 5), (8, "copy", 8), (9, "exact", 0), (24, "exact", 0)),
        *((25, "copy", 0), (32, "copy", 7), (36, "exact", 0), (39, "exact", 0), (44, "copy", 4)),
    ],
)
def test_auto_copies_where_a_key_frame_lies_within_half_a_second(
    tmp_path: Path, first: int, packed: str, lead: int
) -> None:
    path = footage(tmp_path / "made.mp4")
    mp4, cut = cut_clip(path, clip_of(first, 16))
    assert (cut.packed, cut.frames, cut.fps, cut.duration) == (packed, 16, 16.0, 1.0)
    assert (cut.in_s, cut.out_s) == (lead / FPS, lead / FPS + 1)
    clip = read_cut(mp4, cut.in_s, cut.out_s, tmp_path)
    whole = read_video(path)[first : first + 16]
    assert clip.shape == whole.shape
    if packed == "copy":
        assert np.array_equal(clip, whole)
    else:
        assert np.abs(clip.astype(int) - whole).mean() < 2
        assert len(read_video(str(tmp_path / "cut.mp4"))) == 16, "exact holds nothing else"
    forced, cut = cut_clip(path, clip_of(first, 16, mode="copy"))
    before = max(key for key in KEYS if key <= first)
    assert (cut.packed, cut.in_s) == ("copy", pytest.approx((first - before) / FPS))
    assert np.array_equal(read_cut(forced, cut.in_s, cut.out_s, tmp_path), whole)


def test_auto_encodes_what_does_not_play_anywhere_or_is_asked_for_otherwise(
    tmp_path: Path, shared_videos: Path
) -> None:
    path = footage(tmp_path / "made.mp4")
    smaller = cut_clip(path, clip_of(0, 16, max_height=90))[1]
    assert (smaller.packed, smaller.width, smaller.height) == ("exact", 160, 90)
    slower = cut_clip(path, clip_of(0, 16, fps=8.0))[1]
    assert (slower.packed, slower.frames, slower.fps, slower.out_s) == ("exact", 8, 8.0, 1.0)
    assert cut_clip(path, clip_of(0, 16, mode="exact"))[1].packed == "exact"
    for name, pixels, codec in (("deep", "yuv420p10le", "libx264"), ("rich", "yuv444p", "libx264"), ("old", "", "")):
        other = footage(tmp_path / f"{name}.mp4", codec or "mpeg4", pixels or "yuv420p")
        assert cut_clip(other, clip_of(0, 16))[1].packed == "exact"
    with pytest.raises(VideoError, match="mpeg4 is not copied"):
        cut_clip(str(tmp_path / "old.mp4"), clip_of(0, 16, mode="copy"))
    turned = cut_clip(str(shared_videos / "rotated_90.mov"), clip_of(0, 2, 320, 568))
    assert (turned[1].packed, turned[1].width, turned[1].height) == ("exact", 320, 568)


def test_exact_pictures_are_those_of_the_source_whatever_way_they_take(tmp_path: Path) -> None:
    """Straight from the decoder, or by way of RGB where sides are odd or pixels are others."""
    for name, pixels, cut in (("plain", "yuv420p", 0), ("rich", "yuv444p", 0), ("odd", "yuv444p", 1)):
        path = footage(tmp_path / f"{name}.mp4", pixels=pixels, cut=cut)
        mp4, made = cut_clip(path, clip_of(10, 20, 320 - cut, mode="exact"))
        assert (made.width, made.height) == (320 - 2 * cut, 180)
        ours = read_cut(mp4, 0.0, made.out_s, tmp_path)
        whole = read_video(path)[10:30, :, : made.width]
        assert ours.shape == whole.shape and np.abs(ours.astype(int) - whole).mean() < 2
        assert cut_clip(path, clip_of(10, 20, 320 - cut, mode="exact"))[0] == mp4


@pytest.fixture(scope="module")
def copied(
    shared_videos: Path, configure: Configure, tmp_path_factory: pytest.TempPathFactory, ray_session: None
) -> Path:
    """Real footage in three-second clips, copied by two workers."""
    folder = tmp_path_factory.mktemp("copied")
    (folder / "in").mkdir()
    for name in ("bikes.mp4", "clip_a.mp4", "pancake.mkv"):
        (folder / "in" / name).symlink_to(shared_videos / name)
    words = ("pack.mode=copy", "clip.max_seconds=3", "pack.samples_per_shard=3", "select=all")
    curate(configure(folder / "in", folder / "out", "workers=2", *words))
    curate(configure(folder / "in", folder / "one", "workers=1", *words))
    return folder


def test_copied_shards_are_the_same_for_any_number_of_workers(copied: Path) -> None:
    for name in ("index.json", "samples.parquet", *(f"shards/{one.name}" for one in (copied / "out/shards").iterdir())):
        assert (copied / "out" / name).read_bytes() == (copied / "one" / name).read_bytes()
    assert audit(str(copied / "out")).problems == []


def test_in_and_out_points_give_the_frames_of_the_source(copied: Path, tmp_path: Path) -> None:
    dataset = Dataset.open(str(copied / "out"))
    shards = [str(copied / "out" / "shards" / shard["name"]) for shard in dataset.index["shards"]]
    samples = {sample["__key__"]: sample for sample in webdataset.WebDataset(shards, shardshuffle=False)}
    rows = dataset.samples.to_pylist()
    assert len(rows) == len(samples) > 4 and any(row["in_s"] > 0 for row in rows)
    for row in rows:
        sample = samples[row["key"]]
        facts = json.loads(sample["json"])
        assert facts["packed"] == "copy"
        assert all(facts[name] == row[name] for name in ("in_s", "out_s", "frames", "duration", "fps", "width"))
        assert row["out_s"] - row["in_s"] == pytest.approx(facts["end_s"] - facts["start_s"], abs=2e-6)
        assert row["duration"] == pytest.approx(row["out_s"] - row["in_s"], abs=2e-6)
        clip = read_cut(sample["mp4"], row["in_s"], row["out_s"], tmp_path)
        source = str(copied / "in" / facts["path"])
        assert len(clip) == row["frames"]
        assert np.array_equal(clip, read_video(source, start_s=facts["start_s"], end_s=facts["end_s"]))
