"""Detection of variable frame rates (VFR) by the presentation times of frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from framemill.platform.vision.read import DecodedFrame

_JITTER_S = 0.0025
"""Intervals that differ by less than this count as equal, since some containers round times to a millisecond."""
_JITTER_TICKS = 1.5
"""Intervals that differ by less than this many ticks of the container's clock count as equal; a GIF's tick is 10 ms."""


class FrameRateMonitor:
    """Records the shortest and the longest interval between the frames of a video.

    Args:
        tick_s: unit of the container's timestamps, in seconds; 0 if unknown.
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
        """Whether the frame rate varies; None before two frames were seen."""
        return self.longest - self.shortest > self.tolerance_s if self.longest else None
