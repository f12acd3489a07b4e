"""Reading the frames of a video upright and in order, on one thread, with their presentation times.

All reading uses PyAV. decord is not used, since it handles neither rotation nor variable frame rates, and was slower on
three complete H.264 files (one thread, CPU seconds of decord and PyAV: 0.27 and 0.18, 0.65 and 0.51, 0.52 and 0.35).
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation
from av.video.stream import VideoStream

from framemill.platform.vision.deinterlace import deinterlaced
from framemill.platform.vision.orientation import orientation_of
from framemill.platform.vision.stream import (
    VideoError,
    declared_duration,
    ffmpeg_reason,
    first_frame,
    open_video,
    upright_size,
)
from framemill.platform.vision.timing import JUMP_BACK_S, pause_seconds, stream_timing
from framemill.platform.vision.tone_map import HDR_TRANSFERS, tone_map
from framemill.platform.vision.truncation import missing_bytes

UNSPECIFIED_MATRIX = 2
"""Colour matrix number of untagged frames (ITU-T H.273, table 4)."""
_HD_HEIGHT = 720
"""Untagged frames of at least this height are assumed to be BT.709, smaller frames BT.601, as in video players."""
MISSING_END_S = 0.5
"""A file is truncated if its frames end more than this many seconds before its declared end."""
_DEINTERLACE_LEAD_S = 1.0
"""Seconds before the start time from which interlaced video is decoded."""
_SEEK_FROM_S = 3.0
"""Start times below this many seconds are reached by decoding from the beginning, which is as fast as a seek."""


@dataclass(frozen=True)
class Frame:
    """A frame of a video as RGB."""

    index: int
    """Counted from the first frame yielded."""
    time_s: float
    """Seconds since the video's first frame."""
    rgb: np.ndarray
    """uint8 (H, W, 3), upright."""


@dataclass(frozen=True)
class DecodedFrame:
    """A frame of a video as the decoder returns it."""

    index: int
    """Counted from the first frame yielded."""
    time_s: float
    """Seconds since the video's first frame."""
    frame: VideoFrame
    """The decoder's frame, not rotated, and possibly with non-square pixels."""
    upright: tuple[int, int]
    """Display size (width, height) in pixels."""
    continues: bool = True
    """Whether the frame follows the frame before it without a pause, a jump of the clock or a change of size."""


def iter_frames(
    path: str, *, size: tuple[int, int] | None = None, start_s: float = 0.0, end_s: float | None = None
) -> Iterator[Frame]:
    """Yields the frames that are shown in [start_s, end_s), in seconds since the video's first frame.

    For a truncated file, the complete frames are yielded before the error.

    Args:
        path: local path.
        size: size (width, height) to which frames are scaled; None: the display size of the first frame yielded.
        start_s: start in seconds.
        end_s: end in seconds; None: the end of the video.

    Raises:
        VideoError: the file cannot be read, is damaged, or ends before its declared end.
    """
    for decoded in iter_decoded_frames(path, start_s=start_s, end_s=end_s):
        size = size or decoded.upright
        yield Frame(decoded.index, decoded.time_s, to_rgb(decoded.frame, *size))


def iter_decoded_frames(path: str, *, start_s: float = 0.0, end_s: float | None = None) -> Iterator[DecodedFrame]:
    """Yields the frames that are shown in [start_s, end_s) like `iter_frames`, but as the decoder returns them.

    Raises:
        VideoError: the file cannot be read, is damaged, or ends before its declared end.
    """
    timing = stream_timing(path)
    with open_video(path) as (container, stream):
        first = first_frame(container, stream)
        upright = upright_size(first, stream)
        clock = _FrameClock(first.pts, stream.time_base, 1 / timing.rate)
    # Deinterlacing needs the frame before the first one.
    seek_s = start_s - _DEINTERLACE_LEAD_S if first.interlaced_frame else start_s
    with _opened_before(path, first.pts, seek_s if timing.steady else 0.0) as (container, stream):
        # Times in the ledger are rounded, so frames are selected with a tolerance of a quarter of a frame.
        slack = 0.25 * clock.step
        index = 0
        for frame in deinterlaced(_undamaged_frames(container, stream)):
            time_s, continues = clock.time_of(frame)
            size = upright_size(frame, stream)
            continues, upright = continues and size == upright, size
            if time_s < start_s - slack:
                continue
            if end_s is not None and time_s >= end_s - slack:
                return
            yield DecodedFrame(index, time_s, frame, upright, continues)
            index += 1
        _check_complete(path, container, stream, clock)


def read_video(
    path: str, *, max_frames: int | None = None, start_s: float = 0.0, end_s: float | None = None
) -> np.ndarray:
    """Returns the frames that are shown in [start_s, end_s) as one array: uint8 (T, H, W, 3) RGB, upright.

    Raises:
        VideoError: the file cannot be read, is damaged, ends before its declared end, or has no frame in the interval.
    """
    frames = [frame.rgb for frame in itertools.islice(iter_frames(path, start_s=start_s, end_s=end_s), max_frames)]
    if not frames:
        raise VideoError("no frame in the video stream")
    return np.stack(frames)


class _FrameClock:
    """Computes increasing frame times, in seconds since the first frame, from timestamps or else by counting."""

    def __init__(self, first_pts: int | None, time_base: Fraction | None, step: Fraction) -> None:
        self.step = float(step)
        self.time_base = time_base or Fraction(0)
        self.first_pts = first_pts or 0
        self.last = -self.step
        """Time of the last frame."""
        self.last_shown_s = self.step
        """Time for which the last frame is shown, according to the container; else the usual step."""
        self._reset_s = 0.0
        """Sum of the backward jumps of the timestamps so far."""

    def time_of(self, frame: VideoFrame) -> tuple[float, bool]:
        """Returns the time of `frame`, the next frame, in seconds, and whether it follows without a pause or jump."""
        following = self.last + self.step
        time_s, continues = following, True
        if frame.pts is not None and self.time_base:
            stamped = float((frame.pts - self.first_pts) * self.time_base) + self._reset_s
            if stamped < self.last - JUMP_BACK_S:
                self._reset_s += following - stamped
                continues = False
            elif stamped > self.last:
                time_s = stamped
                continues = stamped - self.last <= pause_seconds(self.step)
        shown_s = float((frame.duration or 0) * self.time_base)
        self.last, self.last_shown_s = time_s, max(self.step, shown_s)
        return time_s, continues


def _check_complete(path: str, container: InputContainer, stream: VideoStream, clock: _FrameClock) -> None:
    """Checks that the frames up to the last one of `clock` are the whole video.

    Raises:
        VideoError: the file is truncated.
    """
    missing = missing_bytes(path, container.format.name)
    declared = declared_duration(container, stream)
    if missing is None and declared is not None and stream.time_base:
        # The declared duration begins with the first packet, which may be before the first frame that can be decoded.
        begin = clock.first_pts if stream.start_time is None else min(stream.start_time, clock.first_pts)
        ended = clock.last + float((clock.first_pts - begin) * stream.time_base) + clock.last_shown_s
        if ended < declared - max(MISSING_END_S, 2 * clock.step):
            raise VideoError(f"breaks off after {ended:.2f} s of {declared:.2f} s")
    if missing:
        raise VideoError(f"breaks off {missing} bytes before its end")


@contextlib.contextmanager
def _opened_before(path: str, first_pts: int | None, time_s: float) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Yields an open video at a key frame at or before `time_s`, or at its beginning.

    A file is opened anew and not sought to its beginning: in transport and program streams, FFmpeg then lands behind
    the first key frame.
    """
    if first_pts is not None and time_s >= _SEEK_FROM_S:
        with open_video(path) as (container, stream):
            if stream.time_base:
                wanted = first_pts + int(time_s / stream.time_base)
                if _lands_before(container, stream, wanted):
                    container.seek(wanted, stream=stream, backward=True)
                    yield container, stream
                    return
    with open_video(path) as opened:
        yield opened


def _lands_before(container: InputContainer, stream: VideoStream, wanted: int) -> bool:
    """Returns whether the first frame that can be decoded after a seek is shown at or before the timestamp `wanted`."""
    try:
        container.seek(wanted, stream=stream, backward=True)
        landed = next(container.decode(stream), None)
    except av.FFmpegError:
        return False
    return landed is not None and landed.pts is not None and landed.pts <= wanted


def _undamaged_frames(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Yields decoded frames up to the first damaged frame, and then fails.

    Damaged frames at the start, as in a recording that begins between key frames, are skipped.

    Raises:
        VideoError: the file is damaged.
    """
    clean = False
    try:
        for packet in container.demux(stream):
            try:
                frames: Iterable[VideoFrame] = packet.decode()
            except av.FFmpegError as error:
                if not clean:
                    continue
                yield from _buffered_frames(stream, packet.pts)
                where = f" at {float(packet.pts * packet.time_base):.2f} s" if packet.pts is not None else ""
                raise VideoError(f"damaged{where} ({ffmpeg_reason(error)})") from error
            for frame in frames:
                if frame.is_corrupt and clean:
                    raise VideoError(f"damaged at {frame.time:.2f} s (picture data missing)")
                if not frame.is_corrupt:
                    clean = True
                    yield frame
    except av.FFmpegError as error:
        raise VideoError(f"damaged ({ffmpeg_reason(error)})") from error
    if not clean:
        raise VideoError("no frame can be decoded whole")


def _buffered_frames(stream: VideoStream, pts: int | None) -> list[VideoFrame]:
    """Returns the frames in the decoder's buffer that are shown before the damaged packet at `pts`."""
    if pts is None:
        return []
    try:
        buffered = stream.decode(None)
    except av.FFmpegError:
        return []
    return [frame for frame in buffered if not frame.is_corrupt and frame.pts is not None and frame.pts < pts]


def assumed_matrix(height: int) -> Colorspace:
    """Returns the colour matrix that is assumed for untagged frames of `height` pixels."""
    return Colorspace.ITU709 if height >= _HD_HEIGHT else Colorspace.ITU601


def hdr_transfer(frame: VideoFrame) -> str | None:
    """Returns the transfer function of an HDR frame, "PQ" or "HLG"; None for standard dynamic range."""
    return HDR_TRANSFERS.get(int(frame.color_trc))


def to_rgb(frame: VideoFrame, width: int, height: int) -> np.ndarray:
    """Returns a decoded frame as uint8 (height, width, 3) RGB, scaled and upright; HDR frames are tone-mapped."""
    orientation = orientation_of(frame)
    wide, high = (height, width) if orientation.turns % 2 else (width, height)
    matrix = assumed_matrix(frame.height) if int(frame.colorspace) == UNSPECIFIED_MATRIX else None
    transfer = hdr_transfer(frame)
    if transfer is not None:
        matrix = Colorspace.BT2020
    # threads=1: by default the scaler starts one thread per CPU core for every frame.
    rgb = frame.to_ndarray(
        format="rgb24" if transfer is None else "rgb48le",
        width=wide,
        height=high,
        src_colorspace=matrix,
        interpolation=Interpolation.AREA,
        threads=1,
    )
    return orientation.apply(rgb if transfer is None else tone_map(rgb, transfer))
