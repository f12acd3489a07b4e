"""Whether a video's frames come at one rate, by the times at which they are shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from framemill.platform.vision.read import Picture

JITTER_S = 0.0025
"""Steps that differ by less are equal: some containers round times to a millisecond, and keep them so when copied."""
TICKS = 1.5
"""And by less than this many ticks of the container's own clock: a GIF counts in hundredths of a second."""


class Pace:
    """Watches pictures go by, and holds the shortest and longest step between two of them."""

    def __init__(self, tick_s: float) -> None:
        self.slack_s = max(JITTER_S, TICKS * tick_s)
        self.last: float | None = None
        self.shortest, self.longest = float("inf"), 0.0

    def watch(self, pictures: Iterable[Picture]) -> Iterator[Picture]:
        for picture in pictures:
            if self.last is not None:
                step = picture.time_s - self.last
                self.shortest, self.longest = min(self.shortest, step), max(self.longest, step)
            self.last = picture.time_s
            yield picture

    @property
    def varies(self) -> bool | None:
        """None before the second frame."""
        return self.longest - self.shortest > self.slack_s if self.longest else None
