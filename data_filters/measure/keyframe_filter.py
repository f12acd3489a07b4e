"""The key-frame pre-filter: rejects sources that no selection would keep by their key frames, before the decode pass.

It rejects frames too small to see, videos that are blank, and stills. The clips of a rejected source are not in the
ledger and no later selection can bring them back, so the pre-filter rejects only with a wide margin; the decode pass
decides every doubt.

Key frames alone do not show what happens between them: a loop may return to the same frame at each key frame. So the
packets between key frames must be nearly empty too, as those of a still are. In ordinary footage the first GOP already
has larger packets, and the pre-filter ends there, having decoded nothing.

A damaged file is a failed source, and must not become a filtered one. Before it rejects, the pre-filter has read all
packets of the file and checked for every damage that shows without decoding: truncated boxes, an end before the
declared duration, a packet that is flagged corrupt or cannot be read; and it has decoded key frames from the first to
the last, each whole. What damage remains undetected is in nearly empty packets, or in some of a still's many equal key
frames. The pre-filter never fails a source: on any error it returns None, and the decode pass finds the error again.
"""

from __future__ import annotations

from collections.abc import Iterator

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from framemill.data_filters.filters.clip_frames import small_size
from framemill.data_filters.measure.config import PrefilterConfig
from framemill.platform.vision.downscale import downscale
from framemill.platform.vision.mp4_boxes import MOV_FORMATS, missing_bytes
from framemill.platform.vision.probe import VideoError, VideoInfo, declared_duration, ffmpeg_reason, open_video
from framemill.platform.vision.read import MISSING_END_S

_MIN_STILL_KEY_FRAMES = 3
"""A still needs at least this many key frames."""
_CELLS = (20, 12)
"""Cells across and down whose mean lumas are compared: those of key frames of one still differed by up to 0.75."""

_EMPTY_BYTES, _EMPTY_BITS_PER_PIXEL = 32, 0.0006
"""Greatest average size of a packet that says "no change": bytes plus bits per pixel of the frame, 101 bytes at 720p.
Packets of stills took 42 to 70 (x264, crf 18 to 28); those of moving 720p at 200 kbit/s take 830."""
_BUCKET_PACKETS, _INITIAL_PACKETS, _REFINE_SHARE = 12, 4, 0.04
"""Token bucket for the bytes of non-key packets. BUCKET_PACKETS: capacity, in average packets. INITIAL_PACKETS: tokens
at each key frame. REFINE_SHARE: extra tokens, as a share of the key frame's size (0.02-0.035 measured on stills, x264
crf 18-28)."""
_GOLDEN_RATIO = 0.618034
"""Multiples of it, modulo 1, are evenly spread and coincide with no period of the video."""


def keyframe_prefilter(path: str, info: VideoInfo, config: PrefilterConfig) -> str | None:
    """Returns why no clip of a source could be kept; None where the decode pass must decide.

    Args:
        path: local file.
        info: what the file was probed to be.
        config: the limits.

    Raises:
        OSError: the file could not be reached.
    """
    small = min(info.width, info.height) < config.min_side
    try:
        with open_video(path) as (container, stream):
            keys = _key_stamps(container, stream, info, ignore_sizes=small)
            if not keys or (container.format.name.startswith(MOV_FORMATS) and missing_bytes(path)):
                return None
            chosen = spread_key_frames(keys, config.key_frames)
            lumas = _key_lumas(container, stream, info, chosen)
            if small and all(luma.size for luma in lumas):
                return f"its shorter side is below {config.min_side} pixels"
            seconds = float((chosen[-1] - chosen[0]) * (stream.time_base or 0))
            return _keyframe_verdict(lumas, seconds, config)
    except VideoError:
        return None


def spread_key_frames(stamps: list[int], limit: int) -> list[int]:
    """Returns at most `limit` of the time stamps, evenly spread, the first and the last among them."""
    if len(stamps) <= limit:
        return stamps
    between = {int(len(stamps) * (_GOLDEN_RATIO * k % 1)) for k in range(1, limit - 1)}
    return [stamps[i] for i in sorted({0, *between, len(stamps) - 1})]


def _keyframe_verdict(lumas: Iterator[np.ndarray], seconds: float, config: PrefilterConfig) -> str | None:
    """Returns why key frames are rejected, or None; decodes no further than the first that is neither blank nor equal.

    Args:
        lumas: of the key frames, uint8 (h, w); decoded as they are iterated.
        seconds: time from the first key frame to the last.
        config: the limits.
    """
    count, blank, same, first = 0, True, True, None
    for luma in lumas:
        cells = cv2.resize(luma.astype(np.float32), _CELLS, interpolation=cv2.INTER_AREA)
        first = cells if first is None else first
        count += 1
        blank = blank and float(luma.std()) <= config.contrast
        same = same and cv2.norm(first, cells, cv2.NORM_INF) <= config.change
        if not blank and not same:
            return None
    if blank:
        return "every key frame is blank"
    if count >= _MIN_STILL_KEY_FRAMES and seconds >= config.still_seconds:
        return "a still picture: nothing changes between key frames"
    return None


def _key_stamps(container: InputContainer, stream: VideoStream, info: VideoInfo, *, ignore_sizes: bool) -> list[int]:
    """Returns the time stamps of the key frames, in order; none if packets between them are not nearly empty.

    Reads packets and decodes nothing.

    Args:
        container: the open file.
        stream: its video.
        info: what the file was probed to be.
        ignore_sizes: whether packets may have any size.

    Raises:
        VideoError: a packet is damaged or has no time stamp, or the packets end before the declared duration.
    """
    average = _EMPTY_BYTES + _EMPTY_BITS_PER_PIXEL * info.width * info.height / 8
    keys: list[int] = []
    stamps: list[int] = []
    tokens = 0.0
    try:
        for packet in container.demux(stream):
            if not packet.size or packet.is_discard:
                continue
            if packet.is_corrupt or packet.pts is None:
                raise VideoError("a packet is damaged or has no time")
            stamps.append(packet.pts)
            if packet.is_keyframe:
                keys.append(packet.pts)
                tokens = _INITIAL_PACKETS * average + _REFINE_SHARE * packet.size
                continue
            tokens = max(tokens, min(tokens + average, _BUCKET_PACKETS * average)) - packet.size
            if not ignore_sizes and tokens < 0:
                return []
    except av.FFmpegError as error:
        raise VideoError(ffmpeg_reason(error)) from error
    declared = declared_duration(container, stream)
    step = 1 / info.fps
    if declared is not None and stamps and stream.time_base:
        duration = float((max(stamps) - min(stamps)) * stream.time_base) + step
        if duration < declared - max(MISSING_END_S, 2 * step):
            raise VideoError("breaks off")
    return sorted(keys)


def _key_lumas(
    container: InputContainer, stream: VideoStream, info: VideoInfo, stamps: list[int]
) -> Iterator[np.ndarray]:
    """Yields the downscaled lumas of key frames, uint8 (h, w), each decoded alone.

    Raises:
        VideoError: a key frame is not found, or cannot be decoded whole.
    """
    for stamp in stamps:
        try:
            container.seek(stamp, stream=stream, backward=True)
            packet = next((packet for packet in container.demux(stream) if packet.pts == stamp), None)
            frames = [*packet.decode(), *stream.decode(None)] if packet is not None else []
        except av.FFmpegError as error:
            raise VideoError(ffmpeg_reason(error)) from error
        if not frames or any(frame.is_corrupt for frame in frames):
            raise VideoError("a key frame cannot be decoded whole")
        yield cv2.cvtColor(downscale(frames[0], *small_size(info.width, info.height)), cv2.COLOR_RGB2GRAY)
