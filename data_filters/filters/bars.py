"""Black bars around a picture: letterbox and pillarbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_DARK_LUMA = 20
"""8-bit luma up to which a pixel may be a bar's: black, codec noise, and black that is 16 where a file is mistagged."""
_DARK_SHARE = 0.8
"""Least share of a bar's row that is dark in all frames: the rest may be a logo."""
_EDGE_STEP, _EDGE_SHARE = 8, 0.5
"""A bar ends at a straight edge: behind it at least this share of the pixels gets brighter than the bar by this many
levels of luma."""
_MIN_ROWS = 2
"""Least thickness of a bar, rows or columns of the downscaled frame: a single row is an encoder's padding."""


@dataclass(frozen=True)
class Bars:
    """Rows and columns of the downscaled frame that are black bars."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0

    def inside(self, frame: np.ndarray) -> np.ndarray:
        """Returns a view of the part of a frame (h, w, ...) between the bars."""
        height, width = frame.shape[:2]
        return frame[self.top : height - self.bottom, self.left : width - self.right]

    def share(self, height: int, width: int) -> float:
        """Returns the share of a frame of this size that the bars cover, 0..1."""
        return 1 - (height - self.top - self.bottom) * (width - self.left - self.right) / (height * width)


def find_bars(lumas: Sequence[np.ndarray]) -> Bars:
    """Returns the bars of a clip, from lumas of its frames, uint8 (h, w).

    Each pixel counts with the highest luma that it has in any frame, so a bar is dark in all frames. The borders of a
    dark scene are dark too, but do not end at a straight edge behind which most pixels are brighter. Where a night sky
    hides one of two opposite edges, the other edge decides: bars come in equal pairs.
    """
    peak = lumas[0].copy()
    for luma in lumas[1:]:
        np.maximum(peak, luma, out=peak)
    top, bottom = _opposite_bars(peak)
    left, right = _opposite_bars(np.ascontiguousarray(peak[top : len(peak) - bottom].T))
    return Bars(top, bottom, left, right)


def _opposite_bars(peak: np.ndarray) -> tuple[int, int]:
    """Returns the rows of the bars above and below."""
    above, dark_above = _top_bar(peak)
    below, dark_below = _top_bar(peak[::-1])
    if not above and dark_above >= below:
        above = below
    elif not below and dark_below >= above:
        below = above
    return above, below


def _top_bar(peak: np.ndarray) -> tuple[int, int]:
    """Returns (rows of the bar at the top, 0 where it has no edge; rows at the top that are dark)."""
    dark = (peak <= _DARK_LUMA).mean(axis=1) >= _DARK_SHARE
    rows = len(peak) if dark.all() else int(np.argmin(dark))
    # The row at the edge may be half bar, half picture: the row behind it is all picture.
    if not _MIN_ROWS <= rows < len(peak) - 1:
        return 0, rows
    step = peak[rows + 1].astype(int) - peak[:rows].max(axis=0)
    return (rows if (step >= _EDGE_STEP).mean() >= _EDGE_SHARE else 0), rows
