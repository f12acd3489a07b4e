"""How much a clip moves: mean optical flow, in the units of SANA-Video's UniMatch scores."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from framemill.data_filters.filters.clip_frames import ClipFrames
from framemill.data_filters.filters.motion_units import PAIR_S, motion_scores, pair_motion

NOT_EXPLAINED, EXPLAINED = 0.22, 0.3
"""Share of the change between two pictures that moving pixels along the flow undoes: up to the first it is no movement,
from the second on all of it is. On the clips and held real frames of tests/bench (motion_set.py, motion_footage.py)
grain stayed below 0.24, nearly all flicker and fades below 0.12 and 19 dissolves in 20 below 0.22; of the pairs of real
frames that move 9 in 10 were above 0.3, and most of the others held a fade or a dissolve."""
LEAST_GATED_S = 0.25
"""Pairs nearer than this are taken as they are: too little happens in so short a time to tell from coding noise."""
LARGE_CHANGE, SURE, REMAINS = 0.05, 0.5, 2 / 3
"""Where more changed than the first (1 - correlation) and less of it is explained than the second, a fast camera may
have outrun the flow: it is sought again from the shift that phase correlation finds. That is believed if less than the
third of what was unexplained remains so: on pans of 96 pixels 0.3 to 0.66 did, on real clips and held frames more
than 0.75."""
LEAST_CHANGE = 1e-6
"""1 - correlation below which pictures are the same."""


class Motion:
    """`motion`: mean length of the flow, pixels at 320x576 (H x W) between frames 0.5 s apart, over pairs and pixels.

    `motion_x`, `motion_y`: mean flow to the right and down, same units; near zero where movements cancel.
    The flow is DIS (Kroeger et al. 2016, OpenCV's ultrafast preset) at 320 pixels: nearer to the truth than Farneback's
    at less than a fifth of the cost. It counts as far as it explains what changed: flicker, fades, dissolves and grain
    change a picture, but no flow undoes it. A clip with no two frames so far apart uses its first and last, scaled.
    """

    def __init__(self) -> None:
        self.flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)

    def score(self, clip: ClipFrames) -> dict[str, float]:
        chosen = clip.every(PAIR_S)
        if len(chosen) < 2:
            chosen = [0, len(clip.frames) - 1] if len(clip.frames) > 1 else []
        grey = [cv2.cvtColor(clip.frames[i], cv2.COLOR_RGB2GRAY) for i in chosen]
        pairs = [
            self.pair(grey[k], grey[k + 1], float(clip.times[chosen[k + 1]] - clip.times[chosen[k]]))
            for k in range(len(chosen) - 1)
        ]
        return motion_scores(pairs)

    def pair(self, earlier: np.ndarray, later: np.ndarray, seconds: float) -> np.ndarray:
        """(mean length, mean x, mean y) of the movement between two grey pictures, per half second."""
        flow, explained = self.explaining(earlier, later)
        counts = np.clip((explained - NOT_EXPLAINED) / (EXPLAINED - NOT_EXPLAINED), 0, 1)
        if seconds < LEAST_GATED_S:
            counts = 1.0
        halves = np.array(flow.shape[1::-1]) / earlier.shape[::-1]
        return pair_motion(flow * (counts * halves).astype(np.float32), seconds)

    def explaining(self, earlier: np.ndarray, later: np.ndarray) -> tuple[np.ndarray, float]:
        """The flow at half size, in pixels of the pictures given, and the share of their change that it explains."""
        small = halved(earlier.astype(np.float32)), halved(later.astype(np.float32))
        change = 1 - correlation(*small)
        no_guess: Any = None  # an array here would be taken for a first guess of the flow
        flow = halved(self.flow.calc(earlier, later, no_guess))
        explained = share_explained(*small, flow, change)
        if change > LARGE_CHANGE and explained < SURE:
            # Copies: where no padding is needed OpenCV lays the window over the pictures it is given.
            shift, _ = cv2.phaseCorrelate(small[0].copy(), small[1].copy(), window(*small[0].shape))
            right, down = np.rint(2 * np.array(shift))
            second = halved(self.flow.calc(earlier, shifted(later, -right, -down), no_guess))
            second += np.array([right, down], np.float32)
            again = share_explained(*small, second, change)
            if 1 - again < REMAINS * (1 - explained):
                return second, again
        return flow, explained


def share_explained(earlier: np.ndarray, later: np.ndarray, flow: np.ndarray, change: float) -> float:
    """The share of the change (1 - correlation) between two halved pictures that is undone by taking back the flow.

    What came into the picture from outside is explained by nothing.
    """
    high, wide = earlier.shape
    x, y = places(wide, high)
    to_x, to_y = x + flow[..., 0] / 2, y + flow[..., 1] / 2
    undone = cv2.remap(later, to_x, to_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = (to_x >= 0) & (to_x <= wide - 1) & (to_y >= 0) & (to_y <= high - 1)
    left = 1 - correlation(earlier[inside], undone[inside])
    return float(inside.mean()) * (change - left) / (change + LEAST_CHANGE)


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Of two pictures, -1..1, whatever their brightness and contrast; 1 where one of them shows nothing."""
    if one.size == 0:
        return 1.0
    one, other = one - one.mean(), other - other.mean()
    spread = float(np.sqrt(np.square(one).mean() * np.square(other).mean()))
    return float((one * other).mean()) / spread if spread > LEAST_CHANGE else 1.0


def halved(picture: np.ndarray) -> np.ndarray:
    """At half the size, which also evens out grain."""
    height, width = picture.shape[:2]
    return cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA)


def shifted(picture: np.ndarray, right: float, down: float) -> np.ndarray:
    """Moved so far, what is uncovered filled with the pixels at the edge."""
    by = np.array([[1, 0, right], [0, 1, down]], np.float32)
    return cv2.warpAffine(picture, by, picture.shape[1::-1], flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)


@lru_cache(maxsize=8)
def places(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """The x and the y of each pixel."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return x, y


@lru_cache(maxsize=8)
def window(height: int, width: int) -> np.ndarray:
    """Fades a picture out towards its edges."""
    return cv2.createHanningWindow((width, height), cv2.CV_32F)
