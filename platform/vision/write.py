"""Writing video: H.264 in MP4 whose bytes depend on the frames alone."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation

from framemill.platform.vision.read import HD_LINES, Frame

PRESET = "veryfast"
X264 = "mbtree=0:rc-lookahead=0"
"""Off: with AVX-512 x264's macroblock tree reads memory that nobody wrote (most widths that are no multiple of 64), and
its floats differ from one kind of CPU to the next. Without it bytes depend on neither, and nothing else looks ahead."""
MPEG_RANGE = 1
BT709, BT601 = 1, 6
"""H.273 codes of the colour matrices."""


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
    high_definition = height >= HD_LINES
    matrix = Colorspace.ITU709 if high_definition else Colorspace.ITU601
    rate = Fraction(fps).limit_denominator(1001)
    # The index moves to the front by reading the file back, so it needs a name on disk.
    with tempfile.TemporaryDirectory(prefix="framemill-") as folder:
        path = os.path.join(folder, "clip.mp4")
        with av.open(path, "w", options={"movflags": "+faststart", "fflags": "+bitexact"}) as container:
            stream = container.add_stream("libx264", rate=rate)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.time_base = stream.codec_context.time_base = 1 / rate
            stream.codec_context.thread_count = 1
            stream.codec_context.color_range = MPEG_RANGE
            stream.codec_context.colorspace = BT709 if high_definition else BT601
            stream.codec_context.color_primaries = ColorPrimaries.BT709
            stream.codec_context.color_trc = ColorTrc.BT709
            stream.options = {"preset": PRESET, "crf": str(crf), "flags": "+bitexact", "x264-params": X264}
            for index, rgb in enumerate(itertools.chain([first], frames)):
                if rgb.shape != first.shape:
                    raise ValueError(f"frame {index} is {rgb.shape[1]}x{rgb.shape[0]}, the first {width}x{height}")
                picture = VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24").reformat(
                    format="yuv420p",
                    dst_colorspace=matrix,
                    dst_color_range=ColorRange.MPEG,
                    interpolation=Interpolation.AREA,
                    threads=1,
                )
                picture.pts, picture.time_base = index, 1 / rate
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
        with open(path, "rb") as file:
            return file.read()


def retime(frames: Iterable[Frame], fps: Fraction | float, duration_s: float) -> Iterator[np.ndarray]:
    """Frames at a constant rate: for each tick, the frame nearest to it in time.

    Ticks count from the first frame's time; there are round(duration_s * fps) of them, at least one. At the frames'
    own constant rate every frame comes out once. Holds two frames at a time.
    """
    wanted = max(1, round(duration_s * float(fps)))
    tick, previous, origin = 0, None, 0.0
    for frame in frames:
        if previous is None:
            previous, origin = frame, frame.time_s
            continue
        while tick < wanted and nearer(origin + tick / float(fps), previous.time_s, frame.time_s):
            yield previous.rgb
            tick += 1
        previous = frame
    while previous is not None and tick < wanted:
        yield previous.rgb
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
