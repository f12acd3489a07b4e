"""Sampling the frames of a clip for a caption model; runs in a worker's decoder process."""

from __future__ import annotations

import itertools

import cv2

from framemill.platform.vision.read import iter_decoded_frames, to_rgb
from framemill.platform.vision.video import VideoError

_JPEG_QUALITY = 90
"""Quality of the JPEGs, 0 to 100."""


def clip_jpegs(path: str, start_s: float, frames: int, count: int, max_side: int) -> list[bytes]:
    """Returns evenly spread frames of a clip as JPEGs.

    Args:
        path: local file of the source.
        start_s: time of the clip's first frame, seconds since the source's first frame.
        frames: number of frames of the clip.
        count: number of frames to return, evenly spread over the clip.
        max_side: maximum longer side of the JPEGs, pixels.

    Raises:
        VideoError: the clip cannot be decoded.
    """
    cv2.setNumThreads(1)
    indices = set(spread_indices(frames, count))
    jpegs = []
    for decoded in itertools.islice(iter_decoded_frames(path, start_s=start_s), max(indices) + 1):
        if decoded.index in indices:
            rgb = to_rgb(decoded.frame, *_fitted_size(*decoded.upright, max_side))
            encoded = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
            jpegs.append(encoded.tobytes())
    if not jpegs:
        raise VideoError(f"no frame at {start_s:.2f} s")
    return jpegs


def spread_indices(frames: int, count: int) -> list[int]:
    """Returns the indices of the middle frames of `count` equal parts of a clip; all indices if `frames` <= `count`."""
    return [frames * (2 * part + 1) // (2 * count) for part in range(count)] if count < frames else list(range(frames))


def _fitted_size(width: int, height: int, max_side: int) -> tuple[int, int]:
    """Returns (width, height) scaled down so that the longer side is at most `max_side`; never scaled up."""
    scale = min(1.0, max_side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))
