"""Writing H.264 video in MP4, reproducible to the byte."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TypeVar

import av
import numpy as np
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation

from framemill.platform.vision.read import DecodedFrame, Frame, assumed_matrix

_PRESET = "veryfast"
X264 = "mbtree=0:rc-lookahead=0"
"""Options of x264 for reproducible output.

The macroblock tree is off, since with AVX-512 it reads uninitialised memory (at most widths that are not multiples of
64), and its floating-point results differ between CPU models. The look-ahead is 0, since only the tree needs it.
"""
_MPEG_RANGE = 1
_BT709, _BT601 = 1, 6
"""Colour matrix numbers of ITU-T H.273, table 4."""
Shown = TypeVar("Shown", Frame, DecodedFrame)


def encode_mp4(frames: Iterable[np.ndarray], fps: Fraction | float, *, crf: int = 18) -> bytes:
    """Returns an MP4 with uint8 (H, W, 3) RGB frames as yuv420p H.264 and the index first (fast start).

    There are one encoder thread, no dates and no writer's name, so equal frames give equal bytes. The colour matrix is
    tagged, and is the matrix that readers assume for untagged files (BT.709 from 720 lines, else BT.601).

    Raises:
        ValueError: there are no frames, sides are odd, or frames differ in size.
    """
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise ValueError("a video needs at least one frame")
    height, width = first.shape[:2]
    if height % 2 or width % 2 or not height or not width:
        raise ValueError(f"{width}x{height}: yuv420p needs even sides")
    matrix = assumed_matrix(height)

    def pictures() -> Iterator[VideoFrame]:
        for index, rgb in enumerate(itertools.chain([first], frames)):
            if rgb.shape != first.shape:
                raise ValueError(f"frame {index} is {rgb.shape[1]}x{rgb.shape[0]}, the first {width}x{height}")
            yield yuv_frame(rgb, matrix)

    return encode_frames(pictures(), fps, (width, height), matrix, crf=crf, preset=_PRESET, x264=X264)


def yuv_frame(rgb: np.ndarray, matrix: Colorspace) -> VideoFrame:
    """Returns an RGB frame, uint8 (H, W, 3), converted to yuv420p with a colour matrix."""
    return VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24").reformat(
        format="yuv420p",
        dst_colorspace=matrix,
        dst_color_range=ColorRange.MPEG,
        interpolation=Interpolation.AREA,
        threads=1,
    )


def encode_frames(
    pictures: Iterable[VideoFrame],
    fps: Fraction | float,
    size: tuple[int, int],
    matrix: Colorspace,
    *,
    crf: int,
    preset: str,
    x264: str,
) -> bytes:
    """Returns an MP4 with yuv420p frames as H.264, with the properties of `encode_mp4`.

    Args:
        pictures: frames of `size`.
        fps: frame rate.
        size: width and height in pixels.
        matrix: colour matrix of the frames, which is tagged in the file.
        crf: constant rate factor of x264.
        preset: preset of x264.
        x264: further options of x264, as in `X264`.
    """
    rate = Fraction(fps).limit_denominator(1001)
    # The muxer moves the index to the front by rereading the file, so a file on disk is needed.
    with tempfile.TemporaryDirectory(prefix="framemill-") as folder:
        path = os.path.join(folder, "clip.mp4")
        with av.open(path, "w", options={"movflags": "+faststart", "fflags": "+bitexact"}) as container:
            stream = container.add_stream("libx264", rate=rate)
            (stream.width, stream.height), stream.pix_fmt = size, "yuv420p"
            stream.time_base = stream.codec_context.time_base = 1 / rate
            stream.codec_context.thread_count = 1
            stream.codec_context.color_range = _MPEG_RANGE
            stream.codec_context.colorspace = _BT709 if matrix == Colorspace.ITU709 else _BT601
            stream.codec_context.color_primaries = ColorPrimaries.BT709
            stream.codec_context.color_trc = ColorTrc.BT709
            options = {"preset": preset, "crf": str(crf), "x264-params": x264}
            stream.options = {**options, "flags": "+bitexact", "a53cc": "0"}  # no closed captions from the source
            for index, picture in enumerate(pictures):
                picture.pts, picture.time_base = index, 1 / rate
                picture.pict_type = (
                    PictureType.NONE
                )  # otherwise the encoder would reuse the type (I, P, B) of a decoded frame
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
        with open(path, "rb") as file:
            return file.read()


def retime(frames: Iterable[Frame], fps: Fraction | float, duration_s: float) -> Iterator[np.ndarray]:
    """Returns an iterator over frames at a constant rate as RGB arrays, selected by `sample_at_rate`."""
    return (frame.rgb for frame in sample_at_rate(frames, fps, duration_s))


def sample_at_rate(shown: Iterable[Shown], fps: Fraction | float, duration_s: float) -> Iterator[Shown]:
    """Yields frames at a constant rate: for each tick, the frame nearest in time.

    The first tick is at the first frame, and there are round(duration_s * fps) ticks, at least one. If `fps` is the
    constant rate of the video, every frame is yielded once. At most two frames are in memory at a time.
    """
    wanted = max(1, round(duration_s * float(fps)))
    tick, previous, origin = 0, None, 0.0
    for frame in shown:
        if previous is None:
            previous, origin = frame, frame.time_s
            continue
        while tick < wanted and _is_nearer(origin + tick / float(fps), previous.time_s, frame.time_s):
            yield previous
            tick += 1
        previous = frame
    while previous is not None and tick < wanted:
        yield previous
        tick += 1


def _is_nearer(moment: float, earlier: float, later: float) -> bool:
    """Returns whether `earlier` is at least as near to `moment` as `later`, up to a tolerance of 1 us."""
    return moment - earlier <= later - moment + 1e-6


def resample(frames: np.ndarray, times: np.ndarray, fps: float) -> np.ndarray:
    """Returns frames (T, H, W, 3) with `times` (T,) in seconds resampled to a constant rate by nearest frame.

    The last frame has the mean duration of the other frames.
    """
    step = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 1 / fps
    stamped = [Frame(i, float(t), frame) for i, (t, frame) in enumerate(zip(times, frames, strict=True))]
    return np.stack(list(retime(stamped, fps, float(times[-1] - times[0] + step))))
