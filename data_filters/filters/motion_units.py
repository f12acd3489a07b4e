"""What a motion score counts, whichever flow it comes from: SANA-Video's units (section 3)."""

from __future__ import annotations

import numpy as np

PAIR_S = 0.5
"""Flow is taken between frames this far apart."""
LONG_SIDE, SHORT_SIDE = 576, 320
"""Flow counts in pixels of a picture of this size, turned for portrait clips."""
COLUMNS = ("motion", "motion_x", "motion_y")


def unit_size(width: int, height: int) -> tuple[int, int]:
    """Width and height of the picture in whose pixels a clip's flow counts."""
    return (LONG_SIDE, SHORT_SIDE) if width >= height else (SHORT_SIDE, LONG_SIDE)


def pair_motion(flow: np.ndarray, seconds: float) -> np.ndarray:
    """(mean length, mean x, mean y) per half second of a flow (h, w, 2) in its own pixels, over so many seconds."""
    height, width = flow.shape[:2]
    wide, high = unit_size(width, height)
    flow = flow * np.array([wide / width, high / height], np.float32)
    length = np.sqrt(np.square(flow).sum(axis=-1)).mean()
    return np.array([length, flow[..., 0].mean(), flow[..., 1].mean()], np.float64) * (PAIR_S / seconds)


def motion_scores(pairs: list[np.ndarray]) -> dict[str, float]:
    """The columns of a clip: the means over its pairs; zero where it has none."""
    means = np.mean(pairs, axis=0) if pairs else np.zeros(len(COLUMNS))
    return {name: float(mean) for name, mean in zip(COLUMNS, means, strict=True)}
