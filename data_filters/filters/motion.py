"""How much a clip moves: mean optical flow, in the units of SANA-Video's UniMatch scores."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from framemill.data_filters.clip import ClipFrames
from framemill.data_filters.motion_units import PAIR_S, motion_scores, pair_motion


class Motion:
    """`motion`: mean length of the flow, pixels at 320x576 (H x W) between frames 0.5 s apart, over pairs and pixels.

    `motion_x`, `motion_y`: mean flow to the right and down, same units; near zero where movements cancel.
    The flow is DIS (Kroeger et al. 2016, OpenCV's ultrafast preset) at 320 pixels: against Farneback it is nearer to
    the truth at a thirteenth of the cost. A clip with no two frames so far apart uses its first and last, scaled.
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
        """(mean length, mean x, mean y) of the flow between two grey pictures, per half second."""
        no_guess: Any = None  # an array here would be taken for a first guess of the flow
        return pair_motion(self.flow.calc(earlier, later, no_guess), seconds)
