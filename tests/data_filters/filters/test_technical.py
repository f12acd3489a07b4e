"""The score `technical` falls with blur, darkness and flatness."""

import cv2
import numpy as np

from framemill.data_filters.filters.clip_frames import ClipFrames
from framemill.data_filters.filters.registry import load_filter
from tests.support.drawn_clips import HEIGHT, WIDTH, pan


def test_technical_falls_with_blur_darkness_and_flatness() -> None:
    technical = load_filter("technical")
    good = pan(1, 0)
    noise = np.random.default_rng(1).integers(-20, 20, (HEIGHT, WIDTH, 1))
    sharp = [np.clip(frame + noise, 0, 255).astype(np.uint8) for frame in good.frames]

    def score(frames: list[np.ndarray]) -> float:
        return technical.score(ClipFrames(good.times, frames, good.end_s, 0, WIDTH, HEIGHT))["technical"]

    best = score(sharp)
    assert best > score([cv2.GaussianBlur(frame, (0, 0), 4) for frame in sharp])
    assert best > 2 * score([(frame * 0.05).astype(np.uint8) for frame in sharp])
    assert best > score([(frame * 0.2 + 100).astype(np.uint8) for frame in sharp])
    assert 0 <= score([np.zeros_like(frame) for frame in sharp]) < 0.05
