"""The file properties in the ledger, of files made with known properties and of real files."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from framemill.data_filters.ledger.schema import FILE_FIELDS
from framemill.data_filters.ledger.source_row import FileFacts
from framemill.data_filters.measure.decode_pass import measure_source
from framemill.data_filters.measure.messages import MeasureSettings
from tests.support.footage import moving, write


def facts(path: Path) -> dict[str, Any]:
    items = list(measure_source(str(path), MeasureSettings(0.0, 10.0, ())))
    properties = FileFacts.of(items[0].video, items[-1].fps_varies)
    return asdict(properties) if properties else {}


def with_sound(path: Path, transfer: int = 2) -> Path:
    """Writes a 10-bit video with a transfer function, by its H.273 code, and a sound track."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx265", rate=8)
        video.width, video.height, video.pix_fmt = 128, 72, "yuv420p10le"
        video.codec_context.color_trc = transfer
        sound = container.add_stream("aac", rate=44100)
        for rgb in moving(1):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    return path


def test_a_plain_file(tmp_path: Path) -> None:
    assert facts(write(tmp_path / "a.mp4", moving(0))) == {
        "codec": "h264",
        "width": 128,
        "height": 72,
        "rotation": 0,
        "fps": 8.0,
        "fps_varies": False,
        "duration": 2.5,
        "pixel_format": "yuv420p",
        "hdr": None,
        "audio": None,
        "interlaced": False,
    }


@pytest.mark.parametrize(("code", "name"), [(16, "PQ"), (18, "HLG"), (1, None)])
def test_high_dynamic_range_and_sound(tmp_path: Path, code: int, name: str | None) -> None:
    properties = facts(with_sound(tmp_path / "a.mp4", code))
    assert (properties["hdr"], properties["audio"], properties["pixel_format"]) == (name, "aac", "yuv420p10le")
    assert properties["codec"] == "hevc"


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "libx264"), ("mkv", "libx264"), ("webm", "libvpx-vp9")])
def test_a_rate_that_varies_is_told_from_rounded_times(tmp_path: Path, suffix: str, codec: str) -> None:
    """The frames of 24 frames per second are 41 or 42 ms apart in Matroska."""
    pictures = moving(2, fps=24)
    even = write(tmp_path / f"even.{suffix}", pictures, codec=codec, rate=24)
    assert facts(even)["fps_varies"] is False
    times = [round(i * 1000 / 24) + (60 if i > 30 else 0) for i in range(len(pictures))]
    one_late = write(tmp_path / f"late.{suffix}", pictures, codec=codec, rate=24, times_ms=times)
    assert facts(one_late)["fps_varies"] is True
    one = write(tmp_path / f"one.{suffix}", pictures[:1], codec=codec, rate=24)
    assert facts(one)["fps_varies"] is None


def test_a_gif_counts_in_hundredths(tmp_path: Path) -> None:
    gif = write(tmp_path / "a.gif", moving(3, fps=12), codec="gif", pixel_format="rgb8", rate=12)
    properties = facts(gif)
    assert properties["codec"] == "gif" and properties["fps_varies"] is False


def test_turned_and_unreadable(tmp_path: Path) -> None:
    turned = facts(write(tmp_path / "turned.mp4", moving(0), rotation=90))
    assert (turned["width"], turned["height"], turned["rotation"]) == (72, 128, 90)
    (tmp_path / "words.mp4").write_text("no video")
    assert facts(tmp_path / "words.mp4") == {}


def test_real_files(shared_videos: Path) -> None:
    """Compared with the codec in each file's name, and with the stored size that FFmpeg reports."""
    known = {
        "h265_128px.mp4": ("hevc", "yuv420p"),
        "h264_10bit.mp4": ("h264", "yuv420p10le"),
        "tiny_2fps.mp4": ("h264", "yuv420p"),
    }
    for name, (codec, pixel_format) in known.items():
        properties = facts(shared_videos / name)
        assert (properties["codec"], properties["pixel_format"]) == (codec, pixel_format)
        assert set(properties) == {field for field, _ in FILE_FIELDS}
    turned = facts(shared_videos / "rotated_90.mov")
    with av.open(str(shared_videos / "rotated_90.mov")) as container:
        stored = (container.streams.video[0].width, container.streams.video[0].height)
    assert (turned["height"], turned["width"]) == stored and turned["rotation"] in (90, 270)
