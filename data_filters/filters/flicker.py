"""Brightness that trembles: mains light, old film, an exposure that hunts."""

from __future__ import annotations

import cv2
import numpy as np

from framemill.data_filters.filters.clip_frames import ClipFrames

CELLS = (16, 9)
"""Cells across and down."""


class Flicker:
    """`flicker`: how far brightness swings back and forth from frame to frame, 8-bit luma levels.

    The change of a frame is the median over 16x9 cells of the change of their mean luma: what moves changes some cells
    up and others down. Of a frame's change d and the next one's e the swing is min(|d|, |e|) where they have opposite
    signs, else 0: a fade goes one way, a cut is one step. The score is the mean swing, so a clip whose frames are
    in turn brighter and darker by a scores 2a.
    """

    def score(self, clip: ClipFrames) -> dict[str, float]:
        if len(clip.luma) < 3:
            return {"flicker": 0.0}
        cells = np.stack([cv2.resize(luma, CELLS, interpolation=cv2.INTER_AREA) for luma in clip.luma])
        change = np.median(np.diff(cells.astype(np.float32), axis=0), axis=(1, 2))
        before, after = change[:-1], change[1:]
        swing = np.where(before * after < 0, np.minimum(np.abs(before), np.abs(after)), 0)
        return {"flicker": float(swing.mean())}
