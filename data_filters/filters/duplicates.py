"""Frames that repeat the one before: freezes, and frame rates that were raised by showing frames twice."""

from __future__ import annotations

import cv2
import numpy as np

from framemill.data_filters.filters.clip_frames import ClipFrames

_CELLS = (40, 24)
"""Cells across and down whose mean lumas are compared."""
_NOISE_MEAN, _NOISE_CELL = 0.35, 1.1
"""Greatest difference of two equal frames after encoding, levels of 8-bit luma at 320 pixels: mean over pixels, and the
cell that changes most. x264 up to crf 23 leaves less between nearly all frames that were equal; where most of a frame
moves the differences were above 0.8 and 4."""


class Duplicates:
    """`duplicates`: share of frames (0..1, of all but the first) that repeat the one before, up to codec noise.

    `frozen_s`: time for which the longest repeated frame is shown, seconds; 0 where no frame is repeated.
    A frame is compared with the first frame of its run, so that slow motion is not taken for a freeze.
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
