"""The filter `motion`: mean optical flow of a clip, in the units of SANA-Video's UniMatch scores."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from framemill.data_filters.filters.clip_frames import ClipFrames
from framemill.data_filters.filters.motion_units import PAIR_S, motion_scores, pair_motion

_NOT_EXPLAINED, _EXPLAINED = 0.22, 0.3
"""The flow is weighted by the share of the frame difference that it explains: weight 0 up to NOT_EXPLAINED, rising
linearly to 1 at EXPLAINED. On the clips and frozen real frames of tests/bench (motion_set.py, motion_footage.py), film
grain stayed below 0.24, nearly all flicker and fades below 0.12, and 19 of 20 dissolves below 0.22; 9 of 10 moving
pairs of real frames were above 0.3, and most of the remaining pairs contained a fade or a dissolve."""
_MIN_GATED_S = 0.25
"""Pairs of frames closer in time than this have weight 1: their change cannot be separated from codec noise."""
_LARGE_CHANGE, _SURE, _MAX_REMAINING = 0.05, 0.5, 2 / 3
"""DIS is retried from a phase-correlation shift if the frames differ by more than LARGE_CHANGE (1 - correlation) but
the flow explains less than the share SURE of the difference: a fast pan may exceed the range of DIS. The retry is
accepted if it reduces the unexplained share below MAX_REMAINING times its former value. On pans of 96 pixels the factor
was 0.3 to 0.66; on real clips and frozen frames it was at least 0.75."""
_MIN_CHANGE = 1e-6
"""Small number that avoids divisions by 0 between equal or constant frames."""
_MIN_ROWS = 32
"""Minimum height of the lumas between which DIS computes the flow, pixels."""


class Motion:
    """`motion`: mean flow length between frames 0.5 s apart, in pixels at 320x576 (H x W).

    `motion_x`, `motion_y`: mean flow to the right and down, in the units of `motion`; opposite movements cancel.
    The flow is DIS (Kroeger et al. 2016, OpenCV's ultrafast preset) at 320 pixels: more accurate than Farneback's at
    less than a fifth of the cost. The flow is weighted by the share of the frame difference that it explains, since
    flicker, fades, dissolves and grain change frames without motion. For a clip shorter than 0.5 s the flow between its
    first and last frame is scaled to 0.5 s.
    """

    def __init__(self) -> None:
        self.flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)

    def score(self, clip: ClipFrames) -> dict[str, float]:
        """Returns the clip's scores by column."""
        chosen = clip.every(PAIR_S)
        if len(chosen) < 2:
            chosen = [0, len(clip.frames) - 1] if len(clip.frames) > 1 else []
        lumas = [cv2.cvtColor(clip.frames[i], cv2.COLOR_RGB2GRAY) for i in chosen]
        pairs = [
            self.pair(lumas[k], lumas[k + 1], float(clip.times[chosen[k + 1]] - clip.times[chosen[k]]))
            for k in range(len(chosen) - 1)
        ]
        return motion_scores(pairs)

    def pair(self, earlier: np.ndarray, later: np.ndarray, seconds: float) -> np.ndarray:
        """Returns (mean length, mean x, mean y) of the flow between two lumas, uint8 (h, w), scaled to 0.5 s.

        Args:
            earlier: luma of the earlier frame.
            later: luma of the later frame.
            seconds: time between the two frames.
        """
        flow, explained = self._flow_and_share(earlier, later)
        weight = np.clip((explained - _NOT_EXPLAINED) / (_EXPLAINED - _NOT_EXPLAINED), 0, 1)
        if seconds < _MIN_GATED_S:
            weight = 1.0
        scale = np.array(flow.shape[1::-1]) / earlier.shape[::-1]
        return pair_motion(flow * (weight * scale).astype(np.float32), seconds)

    def _flow_and_share(self, earlier: np.ndarray, later: np.ndarray) -> tuple[np.ndarray, float]:
        """Returns the flow at half resolution, in full-resolution pixels, and the share of the change it explains."""
        small = _halved(earlier.astype(np.float32)), _halved(later.astype(np.float32))
        change = 1 - _correlation(*small)
        flow = _halved(self._dis(earlier, later))
        explained = _share_explained(*small, flow, change)
        if change > _LARGE_CHANGE and explained < _SURE:
            # Copies, since OpenCV multiplies its inputs by the window in place if they need no padding.
            shift, _ = cv2.phaseCorrelate(small[0].copy(), small[1].copy(), _window(*small[0].shape))
            right, down = np.rint(2 * np.array(shift))
            retry = _halved(self._dis(earlier, _shifted(later, -right, -down)))
            retry += np.array([right, down], np.float32)
            retry_explained = _share_explained(*small, retry, change)
            if 1 - retry_explained < _MAX_REMAINING * (1 - explained):
                return retry, retry_explained
        return flow, explained

    def _dis(self, earlier: np.ndarray, later: np.ndarray) -> np.ndarray:
        """Returns the flow between two lumas, float32 (h, w, 2).

        Lumas of wide strips are padded: in fewer than 32 rows of 320 pixels, OpenCV's DIS crashes or returns NaN.
        """
        height = earlier.shape[0]
        rows = max(0, _MIN_ROWS - height)
        if rows:
            earlier, later = (
                cv2.copyMakeBorder(luma, rows // 2, rows - rows // 2, 0, 0, cv2.BORDER_REPLICATE)
                for luma in (earlier, later)
            )
        # OpenCV would take an array as the initial flow; its type stub does not allow None.
        no_guess: Any = None
        return self.flow.calc(earlier, later, no_guess)[rows // 2 : rows // 2 + height]


def _share_explained(earlier: np.ndarray, later: np.ndarray, flow: np.ndarray, change: float) -> float:
    """Returns the share of the change (1 - correlation) between two half-resolution lumas that the flow explains.

    The explained share is the part that warping the later luma by the flow removes. Pixels whose flow points outside
    the frame count as unexplained.
    """
    height, width = earlier.shape
    x, y = _pixel_grid(width, height)
    to_x, to_y = x + flow[..., 0] / 2, y + flow[..., 1] / 2
    warped = cv2.remap(later, to_x, to_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = (to_x >= 0) & (to_x <= width - 1) & (to_y >= 0) & (to_y <= height - 1)
    remaining = 1 - _correlation(earlier[inside], warped[inside])
    return float(inside.mean()) * (change - remaining) / (change + _MIN_CHANGE)


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Returns the correlation of two lumas, -1..1; 1 if either is constant or empty."""
    if one.size == 0:
        return 1.0
    one, other = one - one.mean(), other - other.mean()
    spread = float(np.sqrt(np.square(one).mean() * np.square(other).mean()))
    return float((one * other).mean()) / spread if spread > _MIN_CHANGE else 1.0


def _halved(array: np.ndarray) -> np.ndarray:
    """Returns a luma or flow at half its width and height; averaging also reduces film grain."""
    height, width = array.shape[:2]
    return cv2.resize(array, (width // 2, height // 2), interpolation=cv2.INTER_AREA)


def _shifted(luma: np.ndarray, right: float, down: float) -> np.ndarray:
    """Returns a luma shifted by `right` and `down` pixels; uncovered parts repeat the pixels at the edge."""
    matrix = np.array([[1, 0, right], [0, 1, down]], np.float32)
    return cv2.warpAffine(luma, matrix, luma.shape[1::-1], flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)


@lru_cache(maxsize=8)
def _pixel_grid(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the x and y coordinates of each pixel, each float32 (height, width)."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return x, y


@lru_cache(maxsize=8)
def _window(height: int, width: int) -> np.ndarray:
    """Returns a Hann window, float32 (height, width), which attenuates a luma towards its edges."""
    return cv2.createHanningWindow((width, height), cv2.CV_32F)
