"""A stretch that is copied: the very packets, and just the frames that decoding the source gives."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from framemill.platform.vision.remux import StreamCopyError, copy_mp4
from framemill.platform.vision.video import iter_frames, probe

FPS = 24


SIZE = (96, 64)


def footage(path: Path, codec: str, options: dict[str, str], pixels: str = "yuv420p", frames: int = 72) -> str:
    """A moving ramp with noise, in which no two frames are alike."""
    random = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=FPS)
        stream.width, stream.height, stream.pix_fmt, stream.options = 96, 64, pixels, options
        stream.codec_context.thread_count = 1
        for index in range(frames):
            ramp = np.linspace(0, 255, 96)[None, :, None] + 5 * index + random.normal(0, 8, (64, 96, 3))
            picture = VideoFrame.from_ndarray((ramp % 256).astype(np.uint8), format="rgb24").reformat(format=pixels)
            picture.pts, picture.time_base = index, Fraction(1, FPS)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return str(path)


def contents(path: str) -> list[bytes]:
    """The payload of each video packet, in the file's order."""
    with av.open(path) as container:
        return [bytes(packet) for packet in container.demux(container.streams.video[0]) if packet.size]


def check_stretch(path: str, start_s: float, end_s: float, scratch: Path) -> float:
    """Copies the frames in [start_s, end_s) and compares; gives the in point."""
    wanted = list(iter_frames(path, start_s=start_s, end_s=end_s))
    start_s = round(wanted[0].time_s, 6)
    size = wanted[0].rgb.shape[1::-1]
    mp4, in_s = copy_mp4(path, start_s, end_s, len(wanted), size)
    assert copy_mp4(path, start_s, end_s, len(wanted), size) == (mp4, in_s), "the same bytes each time"
    copy = scratch / "copy.mp4"
    copy.write_bytes(mp4)
    frames = list(iter_frames(str(copy), start_s=round(in_s, 6), end_s=round(in_s + end_s - start_s, 6)))
    assert len(frames) == len(wanted)
    assert all(np.array_equal(ours.rgb, theirs.rgb) for ours, theirs in zip(frames, wanted, strict=True))
    steps = [(ours.time_s - in_s) - (theirs.time_s - start_s) for ours, theirs in zip(frames, wanted, strict=True)]
    assert max(map(abs, steps)) < 1e-3
    source, copied = contents(path), contents(str(copy))
    first = source.index(copied[0])
    leading = [packet for packet in source[first : first + len(copied) + 8] if packet not in copied]
    assert [packet for packet in source[first:] if packet not in leading][: len(copied)] == copied
    return in_s


@pytest.mark.parametrize(
    ("name", "start_s", "end_s", "in_s"),
    [
        ("bikes.mp4", 0.0, 2.0, 0.0),
        ("bikes.mp4", 2.0, 5.0, 0.8),
        ("clip_b.mp4", 16.0, 18.5, 0.0),
        ("clip_a.mp4", 7.0, 11.75, 1.0),
        ("pancake.mkv", 6.0, 10.33, 1.0),
        ("portrait.mp4", 2.0, 5.0, 2.0),
        ("h265_128px.mp4", 0.3, 0.9, 0.1),
        ("rotated_90.mov", 0.0, 0.1, 0.0),
    ],
)
def test_real_footage(
    shared_videos: Path, tmp_path: Path, name: str, start_s: float, end_s: float, in_s: float
) -> None:
    assert check_stretch(str(shared_videos / name), start_s, end_s, tmp_path) == pytest.approx(in_s, abs=1e-5)


@pytest.mark.parametrize(
    ("codec", "options", "ending"),
    [
        ("libx264", {"x264-params": "keyint=24:scenecut=0:bframes=3:b-pyramid=normal"}, "mp4"),
        ("libx264", {"x264-params": "keyint=24:scenecut=0:bframes=3:open-gop=1"}, "mp4"),
        ("libx264", {"x264-params": "keyint=24:scenecut=0:bframes=3"}, "mkv"),
        ("libx265", {"x265-params": "keyint=24:scenecut=0:bframes=3:open-gop=1:pools=1:log-level=0"}, "mp4"),
        ("libvpx-vp9", {"g": "24", "cpu-used": "8", "deadline": "realtime"}, "mkv"),
        ("libsvtav1", {"g": "24", "preset": "12"}, "mp4"),
    ],
)
def test_each_codec(tmp_path: Path, codec: str, options: dict[str, str], ending: str) -> None:
    path = footage(tmp_path / f"made.{ending}", codec, options)
    for start in (0, 24, 30, 47, 49):
        in_s = check_stretch(path, start / FPS, (start + 20) / FPS, tmp_path)
        if "open-gop" not in str(options):
            assert in_s == pytest.approx(start % 24 / FPS, abs=2e-3)


def test_what_cannot_be_copied_is_refused(tmp_path: Path) -> None:
    plain = footage(tmp_path / "plain.mp4", "libx264", {"x264-params": "keyint=48:scenecut=0:bframes=0"})
    with pytest.raises(StreamCopyError, match="no key frame"):
        copy_mp4(plain, 1.0, 2.0, 24, SIZE, longest_lead_s=0.5)
    with pytest.raises(StreamCopyError, match="24 packets show its 23 frames"):
        copy_mp4(plain, 1.0, 2.0, 23, SIZE)
    with pytest.raises(StreamCopyError, match="taller than 48"):
        copy_mp4(plain, 0.0, 1.0, 24, SIZE, played_height=48)
    assert copy_mp4(plain, 0.0, 1.0, 24, SIZE, played_height=64)[1] == 0.0
    with pytest.raises(StreamCopyError, match="mpeg4 is not copied"):
        copy_mp4(footage(tmp_path / "old.mp4", "mpeg4", {}), 0.0, 1.0, 24, SIZE)
    with pytest.raises(StreamCopyError, match="not framed"):
        copy_mp4(footage(tmp_path / "stream.ts", "libx264", {}), 0.0, 1.0, 24, SIZE)
    deep = footage(tmp_path / "deep.mp4", "libx264", {}, "yuv420p10le")
    with pytest.raises(StreamCopyError, match="does not play"):
        copy_mp4(deep, 0.0, 1.0, 24, SIZE, played_height=64)
    assert copy_mp4(deep, 0.0, 1.0, 24, SIZE)[1] == 0.0


def test_a_turned_video_plays_anywhere_only_when_it_is_turned(shared_videos: Path) -> None:
    path = str(shared_videos / "rotated_90.mov")
    info = probe(path)
    with pytest.raises(StreamCopyError, match="turned"):
        copy_mp4(path, 0.0, 0.1, 3, (info.width, info.height), played_height=720)
