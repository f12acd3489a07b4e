"""The units of motion scores for every optical flow method: those of SANA-Video (section 3)."""

from __future__ import annotations

import numpy as np

PAIR_S = 0.5
"""Time between the two frames of an optical flow, seconds."""
_LONG_SIDE, _SHORT_SIDE = 576, 320
"""Flow is measured in pixels of a frame with sides of 576 and 320 pixels, in the orientation of the clip."""
MOTION_COLUMNS = ("motion", "motion_x", "motion_y")
"""Columns of the clips table: mean flow length, mean flow to the right, mean flow down."""


def unit_size(width: int, height: int) -> tuple[int, int]:
    """Returns the (width, height) of the reference frame in whose pixels the flow of a clip is measured."""
    return (_LONG_SIDE, _SHORT_SIDE) if width >= height else (_SHORT_SIDE, _LONG_SIDE)


def pair_motion(flow: np.ndarray, seconds: float) -> np.ndarray:
    """Returns (mean length, mean x, mean y) of a flow, float64 (3,), in reference pixels per 0.5 s.

    Args:
        flow: float32 (h, w, 2): x and y displacement in pixels of an h x w frame.
        seconds: time between the two frames of the flow.
    """
    height, width = flow.shape[:2]
    wide, high = unit_size(width, height)
    flow = flow * np.array([wide / width, high / height], np.float32)
    length = np.sqrt(np.square(flow).sum(axis=-1)).mean()
    return np.array([length, flow[..., 0].mean(), flow[..., 1].mean()], np.float64) * (PAIR_S / seconds)


def motion_scores(pairs: list[np.ndarray]) -> dict[str, float]:
    """Returns the motion columns of a clip: means over its `pair_motion` results, or zeros if there are none."""
    means = np.mean(pairs, axis=0) if pairs else np.zeros(len(MOTION_COLUMNS))
    return {name: float(mean) for name, mean in zip(MOTION_COLUMNS, means, strict=True)}
