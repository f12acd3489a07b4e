"""Detection of black bars around a frame: letterbox and pillarbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_DARK_LUMA = 20
"""Maximum 8-bit luma of a bar's pixels: black (0, or 16 in mistagged files) plus codec noise."""
_DARK_SHARE = 0.8
"""Minimum share of dark pixels in a bar's row; the other pixels may show a logo."""
_EDGE_STEP, _EDGE_SHARE = 8, 0.5
"""A bar ends at a straight edge: in the first full row of the image, at least EDGE_SHARE of the pixels are brighter
than the bar by at least EDGE_STEP levels of luma."""
_MIN_ROWS = 2
"""Minimum thickness of a bar, in rows or columns of the downscaled frame; a single row is padding of the encoder."""


@dataclass(frozen=True)
class Bars:
    """Thickness of the black bar at each side of the downscaled frame, in rows or columns."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0

    def inside(self, frame: np.ndarray) -> np.ndarray:
        """Returns a view of a frame, (h, w, ...), without its bars."""
        height, width = frame.shape[:2]
        return frame[self.top : height - self.bottom, self.left : width - self.right]

    def share(self, height: int, width: int) -> float:
        """Returns the share of a frame of `height` x `width` pixels that is covered by the bars, 0..1."""
        return 1 - (height - self.top - self.bottom) * (width - self.left - self.right) / (height * width)


def find_bars(lumas: Sequence[np.ndarray]) -> Bars:
    """Returns the bars of a clip, from lumas of its frames, uint8 (h, w).

    Bars are searched in the maximum luma of each pixel over all frames, so a bar is dark in every frame. The borders of
    a dark scene are dark too, but do not end at a straight edge next to which most pixels are brighter. Bars come in
    pairs of equal thickness: if a dark scene hides the edge of one bar, it gets the thickness of the opposite bar.
    """
    peak = lumas[0].copy()
    for luma in lumas[1:]:
        np.maximum(peak, luma, out=peak)
    top, bottom = _opposite_bars(peak)
    left, right = _opposite_bars(np.ascontiguousarray(peak[top : len(peak) - bottom].T))
    return Bars(top, bottom, left, right)


def _opposite_bars(peak: np.ndarray) -> tuple[int, int]:
    """Returns the numbers of rows of the top and the bottom bar."""
    above, dark_above = _top_bar(peak)
    below, dark_below = _top_bar(peak[::-1])
    if not above and dark_above >= below:
        above = below
    elif not below and dark_below >= above:
        below = above
    return above, below


def _top_bar(peak: np.ndarray) -> tuple[int, int]:
    """Returns the number of rows of the top bar (0 if no edge ends it) and the number of dark rows at the top."""
    dark = (peak <= _DARK_LUMA).mean(axis=1) >= _DARK_SHARE
    rows = len(peak) if dark.all() else int(np.argmin(dark))
    # The row at the edge may be half bar and half image, so the edge is measured at the row after it.
    if not _MIN_ROWS <= rows < len(peak) - 1:
        return 0, rows
    step = peak[rows + 1].astype(int) - peak[:rows].max(axis=0)
    return (rows if (step >= _EDGE_STEP).mean() >= _EDGE_SHARE else 0), rows
