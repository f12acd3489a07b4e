"""Whole files are told from truncated ones, whatever their last frame's length and their first packet."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest

from framemill.platform.vision.read import iter_decoded_frames
from framemill.platform.vision.stream import VideoError
from framemill.platform.vision.truncation import missing_bytes
from tests.support.footage import moving, write


def frames_of(path: Path) -> int:
    return sum(1 for _ in iter_decoded_frames(str(path)))


def with_long_end(source: Path, path: Path, seconds: Fraction) -> Path:
    """A copy of a file whose last frame is shown for a time."""
    with av.open(str(source)) as given, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(given.streams.video[0])
        packets = [packet for packet in given.demux(video=0) if packet.size]
        packets[-1].duration = int(seconds / packets[-1].time_base)
        for packet in packets:
            packet.stream = stream
            container.mux(packet)
    return path


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("b.mov", "mpeg4"), ("c.mkv", "libx264"), ("d.webm", "libvpx")]
)
def test_a_last_frame_that_lasts_is_no_truncation(tmp_path: Path, name: str, codec: str) -> None:
    options = {"bf": "0"} if codec == "libx264" else {}
    whole = write(tmp_path / f"whole{name[1:]}", moving(0, 2, 25), codec=codec, rate=25, options=options)
    assert frames_of(with_long_end(whole, tmp_path / name, Fraction(4))) == 50


@pytest.mark.parametrize("name", ["a.mkv", "b.webm", "c.mp4"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_truncated_file_breaks_off(tmp_path: Path, name: str, share: float) -> None:
    codec = "libvpx" if name.endswith("webm") else "libx264"
    path = write(tmp_path / name, moving(0, 3, 25), codec=codec, rate=25, faststart=name.endswith("mp4"))
    data = path.read_bytes()
    assert not missing_bytes(str(path), "matroska,webm" if codec == "libvpx" or "mkv" in name else "mov,mp4")
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(VideoError, match=r"breaks off|damaged|no frame can be decoded"):
        frames_of(path)


def test_the_missing_bytes_of_a_segment_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", moving(0, 1, 25), rate=25)
    data = path.read_bytes()
    assert missing_bytes(str(path), "matroska,webm") == 0
    path.write_bytes(data[:-123])
    assert missing_bytes(str(path), "matroska,webm") == 123
    path.write_bytes(b"no Matroska file")
    assert missing_bytes(str(path), "matroska,webm") is None
    assert missing_bytes(str(path), "avi") is None


@pytest.mark.parametrize(("name", "codec"), [("a.ts", "libx264"), ("b.mpg", "mpeg2video"), ("c.ts", "mpeg2video")])
def test_a_recording_that_begins_between_key_frames_is_whole(tmp_path: Path, name: str, codec: str) -> None:
    options = {"g": "25", "bf": "0"}
    path = write(tmp_path / name, moving(0, 4, 25, (320, 192)), codec=codec, rate=25, options=options)
    data = path.read_bytes()
    # Transport packets have 188 bytes; a program stream's packs have 2048 here.
    size = 188 if name.endswith("ts") else 2048
    header = data[: 3 * size] if name.endswith("ts") else b""
    path.write_bytes(header + data[len(data) // 10 // size * size :])
    assert 60 <= frames_of(path) <= 99
