"""The key-frame pre-filter: rejects always rejected sources by their key frames, before the decode pass.

The pre-filter rejects tiny frames, blank videos and stills. The clips of a rejected source are not in the ledger, so no
later selection can restore them. The pre-filter therefore rejects only clear cases and leaves all others to the decode
pass.

Key frames do not show what happens between them: a loop may show the same frame at every key frame. The packets between
key frames must therefore be nearly empty, as in a still. In ordinary footage the first GOP already has larger packets,
and the pre-filter stops there without decoding a frame.

A damaged file must get the state failed, not filtered. Before the pre-filter rejects a file, it has read all packets
and checked for all damage that is visible without decoding: truncated boxes, an end before the declared duration,
packets that are flagged corrupt or cannot be read. It has also decoded key frames from the first to the last
completely. Damage can remain undetected only in nearly empty packets, or in those equal key frames of a still that were
not decoded. The pre-filter never fails a source: on an error it returns None, and the decode pass meets the error
again."""

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
from framemill.platform.vision.probe import VideoInfo
from framemill.platform.vision.read import MISSING_END_S
from framemill.platform.vision.stream import VideoError, declared_duration, ffmpeg_reason, open_video
from framemill.platform.vision.truncation import missing_bytes

_MIN_STILL_KEY_FRAMES = 3
"""Minimum number of key frames of a still."""
_CELLS = (20, 12)
"""Columns and rows of the grid of cells whose mean lumas are compared; in stills they differed by up to 0.75."""

_EMPTY_BYTES, _EMPTY_BITS_PER_PIXEL = 32, 0.0006
"""Maximum average size of a packet without changes: EMPTY_BYTES plus EMPTY_BITS_PER_PIXEL per pixel of the frame, which
is 101 bytes at 720p. Packets of stills had 42 to 70 bytes (x264, crf 18 to 28); packets of moving 720p video at
200 kbit/s have 830."""
_BUCKET_PACKETS, _INITIAL_PACKETS, _REFINE_SHARE = 12, 4, 0.04
"""Token bucket for the bytes of non-key packets. BUCKET_PACKETS: capacity, in average packets. INITIAL_PACKETS: tokens
at each key frame, in average packets. REFINE_SHARE: additional tokens at each key frame, as a share of its size
(0.02-0.035 measured on stills, x264 crf 18-28)."""
_GOLDEN_RATIO = 0.618034
"""Multiples of the golden ratio, modulo 1, are evenly spread and do not align with periods of the video."""


def keyframe_prefilter(path: str, info: VideoInfo, config: PrefilterConfig) -> str | None:
    """Returns the reason why all clips of a source are always rejected, or None if the decode pass must decide.

    Args:
        path: local path of the source.
        info: properties of the video, from `probe`.
        config: limits of the pre-filter.

    Raises:
        OSError: the file cannot be opened.
    """
    small = min(info.width, info.height) < config.min_side
    try:
        with open_video(path) as (container, stream):
            keys = _key_stamps(container, stream, info, ignore_sizes=small)
            if not keys or missing_bytes(path, container.format.name):
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
    """Returns at most `limit` evenly spread timestamps, including the first and the last."""
    if len(stamps) <= limit:
        return stamps
    between = {int(len(stamps) * (_GOLDEN_RATIO * k % 1)) for k in range(1, limit - 1)}
    return [stamps[i] for i in sorted({0, *between, len(stamps) - 1})]


def _keyframe_verdict(lumas: Iterator[np.ndarray], seconds: float, config: PrefilterConfig) -> str | None:
    """Returns the reason why a source is rejected, or None; stops at the first key frame that rules out a rejection.

    Args:
        lumas: lumas of the key frames, uint8 (h, w), decoded lazily.
        seconds: time from the first key frame to the last.
        config: limits of the pre-filter.
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
    """Returns the timestamps of the key frames in order, or [] if packets between key frames are not nearly empty.

    Packets are read but not decoded.

    Args:
        container: the open container.
        stream: the video stream of the container.
        info: properties of the video, from `probe`.
        ignore_sizes: whether packets between key frames may have any size.

    Raises:
        VideoError: a packet is damaged or has no timestamp, or the packets end before the declared duration.
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
    """Yields the downscaled lumas of key frames, uint8 (h, w), decoding each key frame separately.

    Raises:
        VideoError: a key frame is not found, or cannot be decoded completely.
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
