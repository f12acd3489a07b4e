"""The frames of a clip as filters see them: every frame, downscaled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from framemill.data_filters.filters.bars import Bars, find_bars

SAMPLE_S = 0.5
"""Time between the frames of `ClipFrames.samples`, seconds."""
_LONG_SIDE = 320
"""Longer side of the downscaled frames, pixels, whatever the source's size, so that scores compare."""
_MIN_SHORT_SIDE = 16


@dataclass(frozen=True)
class ClipFrames:
    """All frames of one clip, downscaled, with the time of each."""

    times: np.ndarray
    """float64 (N,): seconds since the source's first frame."""
    frames: Sequence[np.ndarray]
    """N frames, uint8 (h, w, 3) RGB, upright, the longer side 320 pixels."""
    end_s: float
    """Time at which the frame after the clip is shown, seconds since the source's first frame."""
    first_frame: int
    """Index of the first frame in the source."""
    width: int
    """Of the source, upright, pixels."""
    height: int
    """Of the source, upright, pixels."""

    @property
    def seconds(self) -> float:
        """The length of the clip."""
        return self.end_s - float(self.times[0])

    def every(self, seconds: float) -> list[int]:
        """Returns the indices of the frames nearest to 0, 1, 2, ... times `seconds` from the start, each once."""
        ticks = np.arange(self.times[0], self.times[-1] + 1e-6, seconds)
        after = np.searchsorted(self.times, ticks)
        before = np.maximum(after - 1, 0)
        after = np.minimum(after, len(self.times) - 1)
        closer = np.where(ticks - self.times[before] <= self.times[after] - ticks, before, after)
        return [int(i) for i in np.unique(closer)]

    @cached_property
    def samples(self) -> list[np.ndarray]:
        """One frame each half second, for scores that do not need every frame."""
        return [self.frames[i] for i in self.every(SAMPLE_S)]

    @cached_property
    def luma(self) -> list[np.ndarray]:
        """The luma of every frame, uint8 (h, w), 0 black to 255 white."""
        return [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in self.frames]

    @cached_property
    def bars(self) -> Bars:
        """The black bars of the clip."""
        return find_bars([self.luma[i] for i in self.every(SAMPLE_S)])


def small_size(width: int, height: int) -> tuple[int, int]:
    """Returns the width and height of the downscaled frames of a source of that size."""
    scale = _LONG_SIDE / max(width, height)
    return max(_MIN_SHORT_SIDE, round(width * scale)), max(_MIN_SHORT_SIDE, round(height * scale))
