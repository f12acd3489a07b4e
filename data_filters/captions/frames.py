"""The frames of a clip that a model is shown. Runs in a worker's expendable child."""

from __future__ import annotations

import itertools

import cv2

from framemill.platform.vision.read import iter_decoded_frames, to_rgb
from framemill.platform.vision.video import VideoError

QUALITY = 90
"""Of the JPEGs, of 100."""


def clip_jpegs(path: str, start_s: float, frames: int, count: int, max_side: int) -> list[bytes]:
    """`count` frames of the `frames` from `start_s`, evenly spread, as JPEGs no larger than `max_side` pixels.

    Raises:
        VideoError: the clip cannot be read.
    """
    cv2.setNumThreads(1)
    wanted = set(evenly(frames, count))
    pictures = []
    for picture in itertools.islice(iter_decoded_frames(path, start_s=start_s), max(wanted) + 1):
        if picture.index in wanted:
            rgb = to_rgb(picture.frame, *fit(*picture.upright, max_side))
            encoded = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
            pictures.append(encoded.tobytes())
    if not pictures:
        raise VideoError(f"no frame at {start_s:.2f} s")
    return pictures


def evenly(frames: int, count: int) -> list[int]:
    """The middle frame of each of `count` equal stretches; every frame once where there are fewer."""
    return [frames * (2 * part + 1) // (2 * count) for part in range(count)] if count < frames else list(range(frames))


def fit(width: int, height: int, max_side: int) -> tuple[int, int]:
    """The size of a picture that is scaled down to the limit, never up."""
    scale = min(1.0, max_side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))
