"""Where the picture lies between black bars (letterbox, pillarbox)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DARK = 20
"""8-bit luma up to which a pixel may be a bar's: black, codec noise, and black that is 16 where a file is mistagged."""
DARK_SHARE = 0.8
"""Of a bar's row, so many pixels never get brighter: the rest may be a logo."""
STEP, STEP_SHARE = 8, 0.5
"""A bar has a straight edge: next to it at least half of the pixels get this many levels brighter than the bar."""
LEAST = 2
"""Rows or columns of the small picture. A single one is an encoder's padding."""


@dataclass(frozen=True)
class Bars:
    """Rows and columns of the small picture that the bars take."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0

    def inside(self, picture: np.ndarray) -> np.ndarray:
        """What lies between the bars; a view."""
        height, width = picture.shape[:2]
        return picture[self.top : height - self.bottom, self.left : width - self.right]

    def share(self, height: int, width: int) -> float:
        """How much of the picture the bars cover, 0..1."""
        return 1 - (height - self.top - self.bottom) * (width - self.left - self.right) / (height * width)


def find_bars(lumas: Sequence[np.ndarray]) -> Bars:
    """The bars of a clip, from pictures of it, uint8 (h, w).

    It looks at the brightest that each pixel ever gets, so what a bar is must stay dark throughout. A dark scene has
    dark borders too, but not ones that end along a straight line at which most pixels get brighter. Where a night sky
    hides one of two such edges, the other tells: bars come in equal pairs.
    """
    peak = lumas[0].copy()
    for luma in lumas[1:]:
        np.maximum(peak, luma, out=peak)
    top, bottom = pair(peak)
    left, right = pair(np.ascontiguousarray(peak[top : len(peak) - bottom].T))
    return Bars(top, bottom, left, right)


def pair(peak: np.ndarray) -> tuple[int, int]:
    """Rows of the bars above and below."""
    above, dark_above = bar(peak)
    below, dark_below = bar(peak[::-1])
    if not above and dark_above >= below:
        above = below
    elif not below and dark_below >= above:
        below = above
    return above, below


def bar(peak: np.ndarray) -> tuple[int, int]:
    """(rows of the bar above, or 0 where it has no edge; rows that are dark)."""
    dark = (peak <= DARK).mean(axis=1) >= DARK_SHARE
    rows = len(peak) if dark.all() else int(np.argmin(dark))
    # The row at the edge may be half bar, half picture: the one behind it is all picture.
    if not LEAST <= rows < len(peak) - 1:
        return 0, rows
    step = peak[rows + 1].astype(int) - peak[:rows].max(axis=0)
    return (rows if (step >= STEP).mean() >= STEP_SHARE else 0), rows
