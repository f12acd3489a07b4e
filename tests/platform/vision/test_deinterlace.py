"""Interlaced footage: found by its flags, and without combs when it is read."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from framemill.platform.vision.read import iter_decoded_frames
from framemill.platform.vision.video import iter_frames, probe

SIZE, FPS, STEP = (320, 192), 25, 6


def picture(offset: int) -> np.ndarray:
    """A texture of vertical stripes at an offset to the right, (H, W, 3)."""
    x = np.arange(SIZE[0])[None, :] - offset
    row = 128 + 90 * np.sin(x / 7) + 30 * np.sin(x / 3)
    return np.repeat(np.repeat(row, SIZE[1], axis=0)[..., None], 3, axis=2).astype(np.uint8)


def interlaced(path: Path, codec: str, top_first: bool, options: dict[str, str]) -> str:
    """Frames whose fields show the scene at two moments."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        if codec == "mpeg2video":
            stream.codec_context.flags |= av.codec.context.Flags.interlaced_dct
        for k in range(30):
            early, late = picture(2 * k * STEP), picture((2 * k + 1) * STEP)
            frame = early.copy()
            frame[int(top_first) :: 2] = late[int(top_first) :: 2]
            made = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="yuv420p")
            graph = av.filter.Graph()
            source = graph.add_buffer(width=SIZE[0], height=SIZE[1], format="yuv420p", time_base=Fraction(1, FPS))
            flag, sink = graph.add("setfield", "tff" if top_first else "bff"), graph.add("buffersink")
            source.link_to(flag)
            flag.link_to(sink)
            graph.configure()
            made.pts, made.time_base = k, Fraction(1, FPS)
            graph.vpush(made)
            container.mux(stream.encode(graph.vpull()))
        container.mux(stream.encode(None))
    return str(path)


def combing(rgb: np.ndarray) -> float:
    """Mean difference between a line and the mean of its neighbours; the scene has none."""
    luma = rgb.mean(axis=2)
    return float(np.abs(luma[1:-1] - (luma[:-2] + luma[2:]) / 2).mean())


KINDS = [
    ("a.mp4", "libx264", True, {"flags": "+ildct+ilme", "x264-params": "tff=1", "crf": "12"}),
    ("b.mkv", "libx264", False, {"flags": "+ildct+ilme", "x264-params": "bff=1", "crf": "12"}),
    ("c.ts", "mpeg2video", True, {"flags": "+ildct+ilme", "b": "4M"}),
    ("d.mpg", "mpeg2video", False, {"flags": "+ildct+ilme", "b": "4M"}),
]


@pytest.mark.parametrize(("name", "codec", "top_first", "options"), KINDS)
def test_no_frame_is_combed(tmp_path: Path, name: str, codec: str, top_first: bool, options: dict[str, str]) -> None:
    path = interlaced(tmp_path / name, codec, top_first, options)
    assert probe(path).interlaced
    with av.open(path) as container:
        stored = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    frames = list(iter_frames(path))
    assert len(frames) == len(stored) == 30
    assert min(map(combing, stored)) > 15 and max(combing(frame.rgb) for frame in frames) < 3
    assert np.diff([frame.time_s for frame in frames]) == pytest.approx(1 / FPS, abs=1e-3)
    for k in (5, 15, 25):
        moments = (picture(2 * k * STEP), picture((2 * k + 1) * STEP))
        differences = [np.abs(frames[k].rgb.astype(int) - moment).mean() for moment in moments]
        assert min(differences) < 8, "a moment of the scene, not a mixture of two"


def test_a_clip_from_the_middle_has_the_frames_of_the_whole(tmp_path: Path) -> None:
    path = interlaced(tmp_path / "a.mp4", *KINDS[0][1:3], {**KINDS[0][3], "g": "5", "bf": "0"})
    whole = [frame.frame.to_ndarray() for frame in iter_decoded_frames(path)]
    for first in (5, 10, 13, 20):
        part = [frame.frame.to_ndarray() for frame in iter_decoded_frames(path, start_s=first / FPS)]
        assert len(part) == 30 - first
        assert all(np.array_equal(one, other) for one, other in zip(part, whole[first:], strict=True))


def test_progressive_video_is_left_alone(shared_videos: Path) -> None:
    path = str(shared_videos / "hiker_tiny.mp4")
    with av.open(path) as container:
        stored = [frame.to_ndarray() for frame in container.decode(video=0)]
    ours = [frame.frame.to_ndarray() for frame in iter_decoded_frames(path)]
    assert not probe(path).interlaced and all(np.array_equal(a, b) for a, b in zip(ours, stored, strict=True))
