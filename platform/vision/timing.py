"""Frame rates and pauses of a video, from the timestamps of its packets.

The rate in a container's header is often wrong: a WebM file that a browser recorded has none, and the average rate of a
recording with a pause is far below the rate of its moving parts.
"""

from __future__ import annotations

import contextlib
import functools
import os
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np

from framemill.platform.vision.stream import declared_rates, open_video

_FALLBACK_FPS = Fraction(25)
"""Frame rate assumed for files with neither a stated rate nor two timestamps."""
_REGULAR_STEP = 1.5
"""Steps of up to this many median steps are regular; longer steps are dropped frames or pauses."""
_MAX_DEVIATION = 0.05
"""A stated frame rate is believed if it differs from the rate of the regular steps by at most this share."""
_PAUSE_S, _PAUSE_FRAMES = 0.5, 4
"""Two frames have a pause between them if the step is longer than both PAUSE_S seconds and PAUSE_FRAMES frames."""
JUMP_BACK_S = 1.0
"""The clock was reset if a timestamp is more than this many seconds before the one before it."""


@dataclass(frozen=True)
class StreamTiming:
    """Timing of a video stream."""

    rate: Fraction
    """Frame rate, frames per second; without pauses if the rate varies."""
    steady: bool
    """Whether the timestamps never jump back, so that a seek finds the frames of a time."""


def stream_timing(path: str) -> StreamTiming:
    """Returns the timing of a local video file, from the timestamps of all its packets; nothing is decoded.

    Raises:
        VideoError: the file cannot be opened or has no video.
        OSError: there is no such file, or no permission to read it.
    """
    status = os.stat(path)
    return _scan(os.path.abspath(path), status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _scan(path: str, size: int, modified_ns: int) -> StreamTiming:
    """Returns the timing of a file; the arguments after `path` are the key of the cache."""
    shown: list[int] = []
    steady, last_dts = True, None
    with open_video(path) as (container, stream):
        declared = declared_rates(stream)
        back = JUMP_BACK_S / float(stream.time_base) if stream.time_base else float("inf")
        with contextlib.suppress(av.FFmpegError):  # a damaged file: the timestamps up to the damage
            for packet in container.demux(stream):
                if packet.pts is None or packet.is_discard:
                    continue
                shown.append(packet.pts)
                dts = packet.pts if packet.dts is None else packet.dts
                steady = steady and (last_dts is None or dts >= last_dts - back)
                last_dts = dts
        steps = np.diff(np.unique(np.array(shown, np.int64))) * float(stream.time_base or 0)
    return StreamTiming(rate_of_steps(steps, declared), steady)


def rate_of_steps(steps: np.ndarray, declared: tuple[Fraction, ...] = ()) -> Fraction:
    """Returns the frame rate of steps between frames, without pauses.

    Args:
        steps: seconds between consecutive frames, float (N,).
        declared: rates that the container states, in order of preference; the first that agrees with the steps is
            returned, since timestamps may be rounded. Without steps, the first is returned, or else 25.
    """
    steps = steps[steps > 0]
    if not len(steps):
        return declared[0] if declared else _FALLBACK_FPS
    measured = 1 / float(steps[steps <= _REGULAR_STEP * np.median(steps)].mean())
    for rate in declared:
        if abs(float(rate) / measured - 1) <= _MAX_DEVIATION:
            return rate
    return Fraction(round(measured, 3)).limit_denominator(1000)


def pause_seconds(step_s: float) -> float:
    """Returns the longest time between two frames that is no pause, for frames that usually are `step_s` apart."""
    return max(_PAUSE_S, _PAUSE_FRAMES * step_s)
