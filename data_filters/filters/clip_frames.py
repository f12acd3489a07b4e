"""What a filter sees of a clip: every frame, small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from framemill.data_filters.filters.bars import Bars, find_bars

LONGEST_SIDE = 320
"""Pixels. Filters see each frame at this size, whatever the source's, so that scores compare."""
SHORTEST_SIDE = 16


@dataclass(frozen=True)
class ClipFrames:
    times: np.ndarray
    """float64 (N,): seconds since the source's first frame."""
    frames: Sequence[np.ndarray]
    """N pictures uint8 (h, w, 3) RGB, upright, the longer side 320 pixels."""
    end_s: float
    """When the clip's last frame gives way to the next one, seconds."""
    first_frame: int
    """Number of the first frame in the source."""
    width: int
    """Of the source, upright, pixels."""
    height: int
    """Of the source, upright, pixels."""

    @property
    def seconds(self) -> float:
        return self.end_s - float(self.times[0])

    def every(self, seconds: float) -> list[int]:
        """Indices of the frames nearest to 0, 1, 2, ... times `seconds` from the start; each once."""
        ticks = np.arange(self.times[0], self.times[-1] + 1e-6, seconds)
        after = np.searchsorted(self.times, ticks)
        before = np.maximum(after - 1, 0)
        after = np.minimum(after, len(self.times) - 1)
        closer = np.where(ticks - self.times[before] <= self.times[after] - ticks, before, after)
        return [int(i) for i in np.unique(closer)]

    @cached_property
    def samples(self) -> list[np.ndarray]:
        """The frames that stand for the clip where every frame is not needed: one each half second."""
        return [self.frames[i] for i in self.every(0.5)]

    @cached_property
    def luma(self) -> list[np.ndarray]:
        """The brightness of every frame, uint8 (h, w), 0 black to 255 white."""
        return [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in self.frames]

    @cached_property
    def bars(self) -> Bars:
        """The black bars around the picture."""
        return find_bars([self.luma[i] for i in self.every(0.5)])


def small_size(width: int, height: int) -> tuple[int, int]:
    """Width and height of the small pictures for a source of that size."""
    scale = LONGEST_SIDE / max(width, height)
    return max(SHORTEST_SIDE, round(width * scale)), max(SHORTEST_SIDE, round(height * scale))
