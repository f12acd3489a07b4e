"""The filter `flicker`: brightness that alternates between frames, from mains light, old film or auto exposure."""

from __future__ import annotations

import cv2
import numpy as np

from framemill.data_filters.filters.clip_frames import ClipFrames

_CELLS = (16, 9)
"""Columns and rows of the grid of cells whose mean lumas are compared."""


class Flicker:
    """`flicker`: mean alternation of brightness between consecutive frames, in levels of 8-bit luma.

    The brightness change between two frames is the median, over 16x9 cells, of the change of a cell's mean luma; the
    median ignores motion, which makes some cells brighter and others darker. Two consecutive changes d and e alternate
    by min(|d|, |e|) if their signs are opposite, else by 0: a fade has one sign, and a cut is a single change. A clip
    whose frames are alternately a levels above and a levels below their mean scores 2a.
    """

    def score(self, clip: ClipFrames) -> dict[str, float]:
        """Returns the clip's scores by column."""
        if len(clip.luma) < 3:
            return {"flicker": 0.0}
        cells = np.stack([cv2.resize(luma, _CELLS, interpolation=cv2.INTER_AREA) for luma in clip.luma])
        change = np.median(np.diff(cells.astype(np.float32), axis=0), axis=(1, 2))
        before, after = change[:-1], change[1:]
        swing = np.where(before * after < 0, np.minimum(np.abs(before), np.abs(after)), 0)
        return {"flicker": float(swing.mean())}
