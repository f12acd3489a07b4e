"""The filter `duplicates`: repeated frames, as in freezes and in frame rates raised by duplicating frames."""

from __future__ import annotations

import cv2
import numpy as np

from framemill.data_filters.filters.clip_frames import ClipFrames

_CELLS = (40, 24)
"""Columns and rows of the grid of cells whose mean lumas are compared."""
_NOISE_MEAN, _NOISE_CELL = 0.35, 1.1
"""Maximum difference of two frames that were equal before encoding, in levels of 8-bit luma at 320 pixels: the mean
over pixels, and the maximum over cells. x264 up to crf 23 stays below both for nearly all equal frames; when most of a
frame moves, the differences were above 0.8 and 4."""


class Duplicates:
    """`duplicates`: share of the frames after the first that repeat the previous frame up to codec noise, 0..1.

    `frozen_s`: longest time for which a repeated frame is shown, seconds; 0 if no frame is repeated.
    Each frame of a run of repeats is compared with the first frame of the run, so that slow motion is no freeze.
    """

    def score(self, clip: ClipFrames) -> dict[str, float]:
        """Returns the clip's scores by column."""
        shown = np.append(clip.times, clip.end_s)
        count, longest, start = 0, 0.0, 0
        start_cells = _cell_means(clip.luma[0])
        for i in range(1, len(clip.luma)):
            cells = _cell_means(clip.luma[i])
            if _is_repeat(clip.luma[start], clip.luma[i], start_cells, cells):
                count += 1
                longest = max(longest, float(shown[i + 1] - shown[start]))
            else:
                start, start_cells = i, cells
        return {"duplicates": count / max(1, len(clip.luma) - 1), "frozen_s": longest}


def _cell_means(luma: np.ndarray) -> np.ndarray:
    """Returns the mean luma of each cell, float32 (24, 40)."""
    return cv2.resize(luma.astype(np.float32), _CELLS, interpolation=cv2.INTER_AREA)


def _is_repeat(earlier: np.ndarray, later: np.ndarray, earlier_cells: np.ndarray, later_cells: np.ndarray) -> bool:
    if cv2.norm(earlier, later, cv2.NORM_L1) > _NOISE_MEAN * earlier.size:
        return False
    return cv2.norm(earlier_cells, later_cells, cv2.NORM_INF) <= _NOISE_CELL
