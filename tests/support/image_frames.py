"""Frames with known content for the scorers of images."""

from __future__ import annotations

import cv2
import numpy as np

from framemill.data_filters.models.base import SampledFrames

BATCHES = (1, 2, 8)


def sampled_frames(pictures: np.ndarray) -> SampledFrames:
    """Frames as a scorer gets them, one second apart."""
    return SampledFrames(np.arange(len(pictures), dtype=float), pictures)


def noise(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Pictures with large shapes, uint8 (N, H, W, 3)."""
    random = np.random.default_rng(seed)
    rough = random.integers(0, 256, (count, 4, 4, 3), np.uint8)
    return np.stack([cv2.resize(one, (width, height), interpolation=cv2.INTER_CUBIC) for one in rough])


def subtitled(pictures: np.ndarray, words: str = "and then it began to rain") -> tuple[np.ndarray, float]:
    """The pictures with words low in the middle, and the share of the picture that the words' box takes."""
    height, width = pictures.shape[1:3]
    face, scale, thick = cv2.FONT_HERSHEY_SIMPLEX, width / 640, max(1, width // 320)
    (wide, high), below = cv2.getTextSize(words, face, scale, thick)
    written = [
        cv2.putText(one.copy(), words, ((width - wide) // 2, int(height * 0.9)), face, scale, (255, 255, 255), thick)
        for one in pictures
    ]
    return np.stack(written), wide * (high + below) / (width * height)
