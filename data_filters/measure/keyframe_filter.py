"""The key-frame screen: a hopeless source is told from its key frames alone, before the decode pass.

Hopeless is what no selection of use keeps: a picture too small to see, a video of blank pictures, a still. Clips of a
screened source are not in the ledger, and a later selection cannot bring them back, so it speaks only with a wide
margin and leaves whatever it doubts to the pass.

Key frames say nothing of what lies between them: a loop may come back to the same picture at each. So the packets
between them must hold next to nothing too, as those of a still do. In ordinary footage the first group of pictures
already holds more, and the screen ends there, having decoded nothing.

A damaged file is `failed`, and the screen must not call it filtered. Before it speaks it has read the whole file's
packets and finds damage by all the tests of the pass that need no decoding: boxes cut short, an end before the declared
one, a packet flagged corrupt or that cannot be read; and it has decoded key frames from the first to the last one,
each whole. Any doubt means None, and the pass says what is wrong. What is left unseen could lie only in packets that
hold next to nothing, or in some of a still's many equal key frames. The other way round cannot happen: it never fails
a source.
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

STILL_KEY_FRAMES = 3
"""A still is judged from so many on."""
EMPTY_BYTES, EMPTY_BITS_PER_PIXEL = 32, 0.0006
"""A packet that says "as before" takes no more than this on average: 101 bytes at 720p, where those of stills took 42
to 70 (x264, crf 18 to 28). 200 kbit/s of moving 720p are 830."""
SAVED, LENT, REFINING = 12, 4, 0.04
"""What packets save of that later ones may take, up to so many packets' worth. Each group begins with so many, and with
what refines its key frame, so large a share of this: 0.02 to 0.035 in stills (x264, crf 28 to 18)."""
CELLS = (20, 12)
"""Cells across and down whose means are compared: key frames of one still differed by up to 0.75."""
GOLDEN = 0.618034
"""Multiples of it, modulo 1, are spread evenly and fall in with no loop."""


def keyframe_prefilter(path: str, info: VideoInfo, config: PrefilterConfig) -> str | None:
    """Why no clip of a source could be kept, or None where that is for the decode pass to say.

    Raises:
        OSError: the file could not be reached.
    """
    small = min(info.width, info.height) < config.min_side
    try:
        with open_video(path) as (container, stream):
            keys = key_stamps(container, stream, info, busy_too=small)
            if not keys or (container.format.name.startswith(MOV_FORMATS) and missing_bytes(path)):
                return None
            chosen = spread(keys, config.key_frames)
            pictures = key_pictures(container, stream, info, chosen)
            if small and all(picture.size for picture in pictures):
                return f"its shorter side is below {config.min_side} pixels"
            seconds = float((chosen[-1] - chosen[0]) * (stream.time_base or 0))
            return keyframe_verdict(pictures, seconds, config)
    except VideoError:
        return None


def keyframe_verdict(pictures: Iterator[np.ndarray], seconds: float, config: PrefilterConfig) -> str | None:
    """What is wrong with all of the key frames, which lie `seconds` apart from first to last; None if nothing is.

    Stops decoding at the first that is neither blank nor the same as the one it began with.
    """
    count, blank, same, first = 0, True, True, None
    for luma in pictures:
        cells = cv2.resize(luma.astype(np.float32), CELLS, interpolation=cv2.INTER_AREA)
        first = cells if first is None else first
        count += 1
        blank = blank and float(luma.std()) <= config.contrast
        same = same and cv2.norm(first, cells, cv2.NORM_INF) <= config.change
        if not blank and not same:
            return None
    if blank:
        return "every key frame is blank"
    if count >= STILL_KEY_FRAMES and seconds >= config.still_seconds:
        return "a still picture: nothing changes between key frames"
    return None


def key_stamps(container: InputContainer, stream: VideoStream, info: VideoInfo, *, busy_too: bool) -> list[int]:
    """The time stamps of the key frames, in order; none where something is between them, unless `busy_too`.

    Reads packets and decodes nothing.

    Raises:
        VideoError: a packet is damaged or has no time, or they end before the declared end.
    """
    empty = EMPTY_BYTES + EMPTY_BITS_PER_PIXEL * info.width * info.height / 8
    keys: list[int] = []
    stamps: list[int] = []
    spare = 0.0
    try:
        for packet in container.demux(stream):
            if not packet.size or packet.is_discard:
                continue
            if packet.is_corrupt or packet.pts is None:
                raise VideoError("a packet is damaged or has no time")
            stamps.append(packet.pts)
            if packet.is_keyframe:
                keys.append(packet.pts)
                spare = LENT * empty + REFINING * packet.size
                continue
            spare = max(spare, min(spare + empty, SAVED * empty)) - packet.size
            if not busy_too and spare < 0:
                return []
    except av.FFmpegError as error:
        raise VideoError(ffmpeg_reason(error)) from error
    declared = declared_duration(container, stream)
    step = 1 / info.fps
    if declared is not None and stamps and stream.time_base:
        ended = float((max(stamps) - min(stamps)) * stream.time_base) + step
        if ended < declared - max(MISSING_END_S, 2 * step):
            raise VideoError("breaks off")
    return sorted(keys)


def spread(keys: list[int], most: int) -> list[int]:
    """At most so many of the key frames, from the first to the last."""
    if len(keys) <= most:
        return keys
    between = {int(len(keys) * (GOLDEN * k % 1)) for k in range(1, most - 1)}
    return [keys[i] for i in sorted({0, *between, len(keys) - 1})]


def key_pictures(
    container: InputContainer, stream: VideoStream, info: VideoInfo, stamps: list[int]
) -> Iterator[np.ndarray]:
    """The lumas of these key frames, small, each decoded alone.

    Raises:
        VideoError: one is not found, or cannot be decoded whole.
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
