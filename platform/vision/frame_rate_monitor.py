"""Telling a constant frame rate from a variable one (VFR), by the times at which frames are shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from framemill.platform.vision.read import DecodedFrame

_JITTER_S = 0.0025
"""Intervals that differ by less are equal: some containers round times to a millisecond, and copies keep them so."""
_JITTER_TICKS = 1.5
"""Intervals that differ by less than this many ticks of the container's clock are equal: a GIF counts in 10 ms."""


class FrameRateMonitor:
    """Records the shortest and the longest interval between the frames of a video.

    Args:
        tick_s: unit of the container's time stamps, in seconds; 0 if unknown.
    """

    def __init__(self, tick_s: float) -> None:
        self.tolerance_s = max(_JITTER_S, _JITTER_TICKS * tick_s)
        self.last: float | None = None
        self.shortest, self.longest = float("inf"), 0.0

    def watch(self, frames: Iterable[DecodedFrame]) -> Iterator[DecodedFrame]:
        """Yields the frames unchanged and records their intervals."""
        for frame in frames:
            if self.last is not None:
                step = frame.time_s - self.last
                self.shortest, self.longest = min(self.shortest, step), max(self.longest, step)
            self.last = frame.time_s
            yield frame

    @property
    def is_variable(self) -> bool | None:
        """Whether the frame rate varies; None before the second frame."""
        return self.longest - self.shortest > self.tolerance_s if self.longest else None
