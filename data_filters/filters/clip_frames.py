"""The input of filters: all frames of a clip, downscaled."""

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
"""Longer side of the downscaled frames, pixels; equal for all sources, so that scores are comparable."""
_MIN_SHORT_SIDE = 16
"""Minimum shorter side of the downscaled frames, pixels."""


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
    """Width of the source, upright, pixels."""
    height: int
    """Height of the source, upright, pixels."""

    @property
    def seconds(self) -> float:
        """Length of the clip in seconds."""
        return self.end_s - float(self.times[0])

    def every(self, seconds: float) -> list[int]:
        """Returns the indices of the frames nearest to multiples of `seconds` after the start, without duplicates."""
        ticks = np.arange(self.times[0], self.times[-1] + 1e-6, seconds)
        after = np.searchsorted(self.times, ticks)
        before = np.maximum(after - 1, 0)
        after = np.minimum(after, len(self.times) - 1)
        closer = np.where(ticks - self.times[before] <= self.times[after] - ticks, before, after)
        return [int(i) for i in np.unique(closer)]

    @cached_property
    def samples(self) -> list[np.ndarray]:
        """Frames 0.5 s apart, for scores that do not need every frame."""
        return [self.frames[i] for i in self.every(SAMPLE_S)]

    @cached_property
    def luma(self) -> list[np.ndarray]:
        """Luma of every frame, uint8 (h, w), from 0 (black) to 255 (white)."""
        return [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in self.frames]

    @cached_property
    def bars(self) -> Bars:
        """Black bars of the clip, found in frames 0.5 s apart."""
        return find_bars([self.luma[i] for i in self.every(SAMPLE_S)])


def small_size(width: int, height: int) -> tuple[int, int]:
    """Returns the (width, height) of downscaled frames for a source of `width` x `height` pixels."""
    scale = _LONG_SIDE / max(width, height)
    return max(_MIN_SHORT_SIDE, round(width * scale)), max(_MIN_SHORT_SIDE, round(height * scale))
