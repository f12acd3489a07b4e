"""Frames that repeat the one before: freezes, and rates that were raised by showing frames twice."""

from __future__ import annotations

import cv2
import numpy as np

from framemill.data_filters.filters.clip_frames import ClipFrames

CELLS = (40, 24)
"""Cells across and down whose means are compared."""
NOISE_MEAN, NOISE_CELL = 0.35, 1.1
"""8-bit luma levels at 320 pixels: what x264 up to crf 23 leaves between nearly all frames that were the same, as the
mean over pixels and in the cell that changes most. Where most of a picture moves they lay above 0.8 and 4."""


class Duplicates:
    """`duplicates`: share of frames (0..1, of all but the first) that repeat the one before to within codec noise.
    `frozen_s`: how long the longest repeated picture is shown, seconds; 0 where none is.

    A frame is compared with the first of the run it would belong to, so that a slow movement is not taken for a still.
    """

    def score(self, clip: ClipFrames) -> dict[str, float]:
        shown = np.append(clip.times, clip.end_s)
        count, longest, start = 0, 0.0, 0
        cells = cell_means(clip.luma[0])
        for i in range(1, len(clip.luma)):
            now = cell_means(clip.luma[i])
            if repeats(clip.luma[start], clip.luma[i], cells, now):
                count += 1
                longest = max(longest, float(shown[i + 1] - shown[start]))
            else:
                start, cells = i, now
        return {"duplicates": count / max(1, len(clip.luma) - 1), "frozen_s": longest}


def cell_means(luma: np.ndarray) -> np.ndarray:
    """float32 (24, 40): mean luma of each cell."""
    return cv2.resize(luma.astype(np.float32), CELLS, interpolation=cv2.INTER_AREA)


def repeats(earlier: np.ndarray, later: np.ndarray, earlier_cells: np.ndarray, later_cells: np.ndarray) -> bool:
    if cv2.norm(earlier, later, cv2.NORM_L1) > NOISE_MEAN * earlier.size:
        return False
    return cv2.norm(earlier_cells, later_cells, cv2.NORM_INF) <= NOISE_CELL
