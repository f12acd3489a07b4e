"""Display matrices: frames come out as ffmpeg's filters show them, and packed clips as their sources."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import av
import numpy as np
import pytest
from av.filter import Graph

from framemill.platform.vision.downscale import downscale
from framemill.platform.vision.orientation import orientation_of
from framemill.platform.vision.read import iter_decoded_frames
from framemill.platform.vision.video import iter_frames, probe
from tests.support.footage import moving, write

ONE = 1 << 16
RIGHT_ANGLES = {
    (1, 0, 0, 1): [],
    (0, 1, -1, 0): [("transpose", "clock")],
    (-1, 0, 0, -1): [("hflip", ""), ("vflip", "")],
    (0, -1, 1, 0): [("transpose", "cclock")],
    (-1, 0, 0, 1): [("hflip", "")],
    (1, 0, 0, -1): [("vflip", "")],
    (0, 1, 1, 0): [("transpose", "cclock_flip")],
    (0, -1, -1, 0): [("transpose", "clock_flip")],
}
"""The filters that ffmpeg inserts for each display matrix (a, b, c, d): fftools/ffmpeg_filter.c."""


def with_matrix(path: Path, matrix: tuple[float, float, float, float]) -> str:
    """A video of moving pictures with a display matrix."""
    write(path, moving(0, 0.5, 8, (96, 64)))
    data, at = bytearray(path.read_bytes()), 0
    at = data.find(b"tkhd") + 4 + 4 + 20 + 16
    a, b, c, d = (round(value * ONE) for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return str(path)


def shown_by_ffmpeg(path: str, filters: list[tuple[str, str]]) -> list[np.ndarray]:
    """The frames of a video after filters, as RGB."""
    frames = []
    with av.open(path) as container:
        for frame in container.decode(video=0):
            graph = Graph()
            last = graph.add_buffer(width=frame.width, height=frame.height, format="rgb24", time_base=frame.time_base)
            for name, options in [*filters, ("buffersink", "")]:
                node = graph.add(name, options)
                last.link_to(node)
                last = node
            graph.configure()
            rgb = av.VideoFrame.from_ndarray(frame.to_ndarray(format="rgb24", src_colorspace=5), format="rgb24")
            rgb.pts, rgb.time_base = frame.pts, frame.time_base
            graph.vpush(rgb)
            frames.append(graph.vpull().to_ndarray())
    return frames


@pytest.mark.parametrize("matrix", RIGHT_ANGLES)
def test_the_eight_orientations_are_those_of_ffmpeg(tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    path = with_matrix(tmp_path / "turned.mp4", matrix)
    wanted = shown_by_ffmpeg(path, RIGHT_ANGLES[matrix])
    ours = [frame.rgb for frame in iter_frames(path)]
    assert len(ours) == len(wanted) == 4
    for one, other in zip(ours, wanted, strict=True):
        assert one.shape == other.shape and np.abs(one.astype(int) - other).max() <= 3
    info = probe(path)
    assert (info.height, info.width) == wanted[0].shape[:2]
    for decoded, other in zip(iter_decoded_frames(path), ours, strict=True):
        small = downscale(decoded.frame, info.width // 2, info.height // 2).astype(int)
        means = other[: info.height // 2 * 2].reshape(info.height // 2, 2, info.width // 2, 2, 3).mean(axis=(1, 3))
        assert np.abs(small - means).mean() < 6, "the downscaled copy is turned alike"


@pytest.mark.parametrize("degrees", [45, 10, 200, 315])
def test_any_other_angle_turns_the_picture_in_its_frame(tmp_path: Path, degrees: int) -> None:
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    path = with_matrix(tmp_path / "tilted.mp4", (cosine, sine, -sine, cosine))
    wanted = shown_by_ffmpeg(path, [("rotate", f"{degrees}*PI/180")])
    ours = [frame.rgb for frame in iter_frames(path)]
    for one, other in zip(ours, wanted, strict=True):
        difference = np.abs(one.astype(int) - other)
        assert one.shape == other.shape and difference.mean() < 6 and np.median(difference) <= 2
    unturned = shown_by_ffmpeg(path, [])
    assert np.abs(ours[0].astype(int) - unturned[0]).mean() > 15


def test_a_frame_without_a_matrix_is_upright(tmp_path: Path) -> None:
    path = write(tmp_path / "plain.mkv", moving(0, 0.5, 8, (96, 64)))
    assert all(orientation_of(decoded.frame).is_identity for decoded in iter_decoded_frames(str(path)))
