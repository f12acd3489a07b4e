"""How much a clip moves: mean optical flow, in the units of SANA-Video's UniMatch scores."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from framemill.data_filters.filters.clip_frames import ClipFrames
from framemill.data_filters.filters.motion_units import PAIR_S, motion_scores, pair_motion

_NOT_EXPLAINED, _EXPLAINED = 0.22, 0.3
"""The flow counts in proportion to the share of the change between two frames that it explains: 0 up to the first
share, in full from the second. On the clips and frozen real frames of tests/bench (motion_set.py, motion_footage.py)
grain stayed below 0.24, nearly all flicker and fades below 0.12, and 19 dissolves in 20 below 0.22; of the pairs of
real frames that move 9 in 10 were above 0.3, and most of the others contained a fade or a dissolve."""
_MIN_GATED_S = 0.25
"""Pairs of frames closer than this count in full: their change cannot be told from coding noise."""
_LARGE_CHANGE, _SURE, _MAX_REMAINING = 0.05, 0.5, 2 / 3
"""Retry DIS from a phase-correlation shift when the frames changed by more than LARGE_CHANGE (1 - correlation) but the
flow explains less than SURE of it: a fast camera may have exceeded the range of DIS. Accept the retry if the
unexplained share falls below MAX_REMAINING of what it was: on pans of 96 pixels it fell to 0.3..0.66 of it, on real
clips and frozen frames to no less than 0.75."""
_MIN_CHANGE = 1e-6
"""1 - correlation below which two frames are equal."""


class Motion:
    """`motion`: mean length of the flow, pixels at 320x576 (H x W) between frames 0.5 s apart, over pairs and pixels.

    `motion_x`, `motion_y`: mean flow to the right and down, same units; near zero where movements cancel.
    The flow is DIS (Kroeger et al. 2016, OpenCV's ultrafast preset) at 320 pixels: nearer to the truth than Farneback's
    at less than a fifth of the cost. It counts only as far as it explains the change of the frames: flicker, fades,
    dissolves and grain change frames too, but no flow explains them. A clip with no two frames 0.5 s apart uses its
    first and last frame, scaled.
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
        """Returns (mean length, mean x, mean y) of the motion between two lumas, uint8 (h, w), per half second."""
        flow, explained = self._flow_and_share(earlier, later)
        weight = np.clip((explained - _NOT_EXPLAINED) / (_EXPLAINED - _NOT_EXPLAINED), 0, 1)
        if seconds < _MIN_GATED_S:
            weight = 1.0
        scale = np.array(flow.shape[1::-1]) / earlier.shape[::-1]
        return pair_motion(flow * (weight * scale).astype(np.float32), seconds)

    def _flow_and_share(self, earlier: np.ndarray, later: np.ndarray) -> tuple[np.ndarray, float]:
        """Returns the flow at half size, in pixels of the full size, and the share of the change that it explains."""
        small = _halved(earlier.astype(np.float32)), _halved(later.astype(np.float32))
        change = 1 - _correlation(*small)
        # OpenCV takes an array here for an initial flow.
        no_guess: Any = None
        flow = _halved(self.flow.calc(earlier, later, no_guess))
        explained = _share_explained(*small, flow, change)
        if change > _LARGE_CHANGE and explained < _SURE:
            # Copies, since OpenCV multiplies the window into its inputs where they need no padding.
            shift, _ = cv2.phaseCorrelate(small[0].copy(), small[1].copy(), _window(*small[0].shape))
            right, down = np.rint(2 * np.array(shift))
            retry = _halved(self.flow.calc(earlier, _shifted(later, -right, -down), no_guess))
            retry += np.array([right, down], np.float32)
            retry_explained = _share_explained(*small, retry, change)
            if 1 - retry_explained < _MAX_REMAINING * (1 - explained):
                return retry, retry_explained
        return flow, explained


def _share_explained(earlier: np.ndarray, later: np.ndarray, flow: np.ndarray, change: float) -> float:
    """Returns the share of the change (1 - correlation) between two halved lumas that warping by the flow removes.

    Pixels whose flow leads out of the frame count as not explained.
    """
    height, width = earlier.shape
    x, y = _pixel_grid(width, height)
    to_x, to_y = x + flow[..., 0] / 2, y + flow[..., 1] / 2
    warped = cv2.remap(later, to_x, to_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = (to_x >= 0) & (to_x <= width - 1) & (to_y >= 0) & (to_y <= height - 1)
    remaining = 1 - _correlation(earlier[inside], warped[inside])
    return float(inside.mean()) * (change - remaining) / (change + _MIN_CHANGE)


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Returns the correlation of two lumas, -1..1; 1 where one of them is constant or empty."""
    if one.size == 0:
        return 1.0
    one, other = one - one.mean(), other - other.mean()
    spread = float(np.sqrt(np.square(one).mean() * np.square(other).mean()))
    return float((one * other).mean()) / spread if spread > _MIN_CHANGE else 1.0


def _halved(array: np.ndarray) -> np.ndarray:
    """Returns a luma or flow at half its size, which also averages grain out."""
    height, width = array.shape[:2]
    return cv2.resize(array, (width // 2, height // 2), interpolation=cv2.INTER_AREA)


def _shifted(luma: np.ndarray, right: float, down: float) -> np.ndarray:
    """Returns a luma moved by so many pixels; the uncovered part repeats the pixels at the edge."""
    matrix = np.array([[1, 0, right], [0, 1, down]], np.float32)
    return cv2.warpAffine(luma, matrix, luma.shape[1::-1], flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)


@lru_cache(maxsize=8)
def _pixel_grid(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the x and the y of each pixel, float32 (height, width)."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return x, y


@lru_cache(maxsize=8)
def _window(height: int, width: int) -> np.ndarray:
    """Returns a Hann window, float32 (height, width), which fades a luma out towards its edges."""
    return cv2.createHanningWindow((width, height), cv2.CV_32F)
