"""How much brightness flickers: mains light, old film, an exposure that hunts."""

from __future__ import annotations

import cv2
import numpy as np

from framemill.data_filters.filters.clip_frames import ClipFrames

_CELLS = (16, 9)
"""Cells across and down whose mean lumas are compared."""


class Flicker:
    """`flicker`: mean swing of brightness from frame to frame, levels of 8-bit luma.

    The change between two frames is the median over 16x9 cells of the change of their mean luma: what moves makes some
    cells brighter and others darker. For consecutive changes d and e the swing is min(|d|, |e|) where their signs are
    opposite, else 0: a fade has one sign, and a cut is a single change. A clip whose frames are alternately brighter
    and darker by a scores 2a.
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
