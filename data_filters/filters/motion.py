"""How much a clip moves: mean optical flow, in the units of SANA-Video's UniMatch scores."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from framemill.data_filters.clip import ClipFrames

PAIR_S = 0.5
"""Flow is taken between frames this far apart (SANA-Video, section 3)."""
LONG_SIDE, SHORT_SIDE = 576, 320
"""Flow counts in pixels of a picture of this size, turned for portrait clips."""
NOT_EXPLAINED, EXPLAINED = 0.2, 0.4
"""Share of the change between two pictures that moving pixels along the flow undoes: up to the first it is no movement,
from the second on all of it is. On a set of synthetic clips (tests/bench/motion_set.py) grain stayed below 0.2,
flicker and fades mostly below 0, and movement of a pixel and more was mostly above 0.5."""
LEAST_CHANGE = 1e-6
"""1 - correlation below which pictures are the same."""
LARGE_CHANGE, SURE, LIKELY = 0.05, 0.9, 0.5
"""Where more changed than the first (1 - correlation) and less of it is explained than the second, the flow may have
missed a fast camera: it is sought again from the shift that phase correlation finds, and taken if it explains more
than the third."""
PATCH, WORSE = 5, 2.0
"""Where the flow makes a patch (its side in pixels at half size) fit worse by so much (8-bit luma), it is none: flow
bleeds from what moves into the still picture around it."""


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
        means = [
            self.pair(grey[k], grey[k + 1], float(clip.times[chosen[k + 1]] - clip.times[chosen[k]]))
            for k in range(len(chosen) - 1)
        ]
        length, x, y = np.mean(means, axis=0) if means else np.zeros(3)
        return {"motion": float(length), "motion_x": float(x), "motion_y": float(y)}

    def pair(self, earlier: np.ndarray, later: np.ndarray, seconds: float) -> np.ndarray:
        """(mean length, mean x, mean y) of the movement between two grey pictures, per half second."""
        height, width = earlier.shape
        wide, high = (LONG_SIDE, SHORT_SIDE) if width >= height else (SHORT_SIDE, LONG_SIDE)
        small = halved(earlier.astype(np.float32)), halved(later.astype(np.float32))
        change = 1 - correlation(*small)
        flow = self.between(earlier, later, (0.0, 0.0))
        undone, explained = undo(*small, flow, change)
        if change > LARGE_CHANGE and explained < SURE:
            # Copies: where no padding is needed OpenCV lays the window over the pictures it is given.
            (right, down), _ = cv2.phaseCorrelate(small[0].copy(), small[1].copy(), window(*small[0].shape))
            second = self.between(earlier, later, (right, down))
            again = undo(*small, second, change)
            if again[1] > max(explained, LIKELY):
                flow, (undone, explained) = second, again
        before = cv2.blur(cv2.absdiff(*small), (PATCH, PATCH))
        after = cv2.blur(cv2.absdiff(small[0], undone), (PATCH, PATCH))
        counts = np.clip((explained - NOT_EXPLAINED) / (EXPLAINED - NOT_EXPLAINED), 0, 1)
        flow = np.where((after > before + WORSE)[..., None], np.float32(0), flow)
        units = [wide / flow.shape[1], high / flow.shape[0]]
        flow = flow * (counts * np.array(units)).astype(np.float32)
        length = np.sqrt(np.square(flow).sum(axis=-1)).mean()
        return np.array([length, flow[..., 0].mean(), flow[..., 1].mean()], np.float64) * (PAIR_S / seconds)

    def between(self, earlier: np.ndarray, later: np.ndarray, shift: tuple[float, float]) -> np.ndarray:
        """The flow at half size, found from a shift that all of the picture is first supposed to have made."""
        height, width = earlier.shape
        guess: Any = None
        if any(shift):
            guess = np.empty((height, width, 2), np.float32)
            guess[:] = 2 * np.array(shift)
        flow = halved(self.flow.calc(earlier, later, guess))
        return flow * np.array([flow.shape[1] / width, flow.shape[0] / height], np.float32)


def undo(earlier: np.ndarray, later: np.ndarray, flow: np.ndarray, change: float) -> tuple[np.ndarray, float]:
    """The later picture with the flow taken back, and the share of the change (1 - correlation) that this undoes.

    What came into the picture from outside is explained by nothing.
    """
    high, wide = earlier.shape
    x, y = places(wide, high)
    to_x, to_y = x + flow[..., 0], y + flow[..., 1]
    undone = cv2.remap(later, to_x, to_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = (to_x >= 0) & (to_x <= wide - 1) & (to_y >= 0) & (to_y <= high - 1)
    left = 1 - correlation(earlier[inside], undone[inside])
    return undone, float(inside.mean()) * (change - left) / (change + LEAST_CHANGE)


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


@lru_cache(maxsize=8)
def places(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """The x and the y of each pixel."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return x, y


@lru_cache(maxsize=8)
def window(height: int, width: int) -> np.ndarray:
    """Fades a picture out towards its edges."""
    return cv2.createHanningWindow((width, height), cv2.CV_32F)
