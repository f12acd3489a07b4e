"""The units of motion scores, whichever optical flow they come from: those of SANA-Video (section 3)."""

from __future__ import annotations

import numpy as np

PAIR_S = 0.5
"""Time between the two frames of a flow, seconds."""
_LONG_SIDE, _SHORT_SIDE = 576, 320
"""Flow counts in pixels of a frame of this size, turned for portrait clips."""
MOTION_COLUMNS = ("motion", "motion_x", "motion_y")
"""Columns of the clips table: mean length, mean to the right, mean down."""


def unit_size(width: int, height: int) -> tuple[int, int]:
    """Returns the width and height of the frame in whose pixels a clip's flow counts."""
    return (_LONG_SIDE, _SHORT_SIDE) if width >= height else (_SHORT_SIDE, _LONG_SIDE)


def pair_motion(flow: np.ndarray, seconds: float) -> np.ndarray:
    """Returns (mean length, mean x, mean y) of a flow, float64 (3,), in unit pixels per half second.

    Args:
        flow: float32 (h, w, 2): x and y in pixels of its own size.
        seconds: time between its two frames.
    """
    height, width = flow.shape[:2]
    wide, high = unit_size(width, height)
    flow = flow * np.array([wide / width, high / height], np.float32)
    length = np.sqrt(np.square(flow).sum(axis=-1)).mean()
    return np.array([length, flow[..., 0].mean(), flow[..., 1].mean()], np.float64) * (PAIR_S / seconds)


def motion_scores(pairs: list[np.ndarray]) -> dict[str, float]:
    """Returns the motion columns of a clip: the means over its pairs, zero where it has none."""
    means = np.mean(pairs, axis=0) if pairs else np.zeros(len(MOTION_COLUMNS))
    return {name: float(mean) for name, mean in zip(MOTION_COLUMNS, means, strict=True)}
