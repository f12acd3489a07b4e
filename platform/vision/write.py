"""Writing video: H.264 in MP4 whose bytes depend on the frames alone."""

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

PRESET = "veryfast"
X264 = "mbtree=0:rc-lookahead=0"
"""Off: with AVX-512 x264's macroblock tree reads memory that nobody wrote (most widths that are no multiple of 64), and
its floats differ from one kind of CPU to the next. Without it bytes depend on neither, and nothing else looks ahead."""
MPEG_RANGE = 1
BT709, BT601 = 1, 6
"""H.273 codes of the colour matrices."""
Shown = TypeVar("Shown", Frame, DecodedFrame)


def encode_mp4(frames: Iterable[np.ndarray], fps: Fraction | float, *, crf: int = 18) -> bytes:
    """Encodes uint8 (H, W, 3) RGB frames as yuv420p H.264, ready to play while it loads.

    One encoder thread, no dates and no writer's name: the same frames give the same bytes. The colour matrix is
    tagged, and is the one that a reader of the untagged file would assume (BT.709 from 720 lines, else BT.601).

    Raises:
        ValueError: no frames, sides that are odd, or frames of different sizes.
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

    return encode_frames(pictures(), fps, (width, height), matrix, crf=crf, preset=PRESET, x264=X264)


def yuv_frame(rgb: np.ndarray, matrix: Colorspace) -> VideoFrame:
    """An RGB frame as yuv420p of that matrix."""
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
    """Encodes yuv420p pictures of `size` (width, height) as `encode_mp4` does, tagged as of that colour matrix."""
    rate = Fraction(fps).limit_denominator(1001)
    # The index moves to the front by reading the file back, so it needs a name on disk.
    with tempfile.TemporaryDirectory(prefix="framemill-") as folder:
        path = os.path.join(folder, "clip.mp4")
        with av.open(path, "w", options={"movflags": "+faststart", "fflags": "+bitexact"}) as container:
            stream = container.add_stream("libx264", rate=rate)
            (stream.width, stream.height), stream.pix_fmt = size, "yuv420p"
            stream.time_base = stream.codec_context.time_base = 1 / rate
            stream.codec_context.thread_count = 1
            stream.codec_context.color_range = MPEG_RANGE
            stream.codec_context.colorspace = BT709 if matrix == Colorspace.ITU709 else BT601
            stream.codec_context.color_primaries = ColorPrimaries.BT709
            stream.codec_context.color_trc = ColorTrc.BT709
            options = {"preset": preset, "crf": str(crf), "x264-params": x264}
            stream.options = {**options, "flags": "+bitexact", "a53cc": "0"}  # no captions that a source carried
            for index, picture in enumerate(pictures):
                picture.pts, picture.time_base = index, 1 / rate
                picture.pict_type = PictureType.NONE  # a decoded picture asks for the kind that it was
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
        with open(path, "rb") as file:
            return file.read()


def retime(frames: Iterable[Frame], fps: Fraction | float, duration_s: float) -> Iterator[np.ndarray]:
    """Frames at a constant rate, as `sample_at_rate` chooses them."""
    return (frame.rgb for frame in sample_at_rate(frames, fps, duration_s))


def sample_at_rate(shown: Iterable[Shown], fps: Fraction | float, duration_s: float) -> Iterator[Shown]:
    """Frames or pictures at a constant rate: for each tick, the one nearest to it in time.

    Ticks count from the first one's time; there are round(duration_s * fps) of them, at least one. At the frames'
    own constant rate every frame comes out once. Holds two frames at a time.
    """
    wanted = max(1, round(duration_s * float(fps)))
    tick, previous, origin = 0, None, 0.0
    for one in shown:
        if previous is None:
            previous, origin = one, one.time_s
            continue
        while tick < wanted and nearer(origin + tick / float(fps), previous.time_s, one.time_s):
            yield previous
            tick += 1
        previous = one
    while previous is not None and tick < wanted:
        yield previous
        tick += 1


def nearer(moment: float, earlier: float, later: float) -> bool:
    """Whether `earlier` is at least as near to `moment`; ties within a microsecond go to the earlier frame."""
    return moment - earlier <= later - moment + 1e-6


def resample(frames: np.ndarray, times: np.ndarray, fps: float) -> np.ndarray:
    """Frames (T, H, W, 3) shown at `times` (T,) seconds, brought to a constant rate: the nearest frame at each tick.

    The last frame is taken to last as long as the frames do on average.
    """
    step = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 1 / fps
    stamped = [Frame(i, float(t), frame) for i, (t, frame) in enumerate(zip(times, frames, strict=True))]
    return np.stack(list(retime(stamped, fps, float(times[-1] - times[0] + step))))
