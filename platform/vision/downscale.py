"""A decoded frame as a much smaller RGB picture, at a third of what the general scaler takes.

The planes are halved as they are, by whole means of 2x2 pixels for which OpenCV has a fast path, and only the small
picture is turned into RGB. That holds for 8-bit planar YUV, which is nearly all footage; what else there is (10 bits,
RGB, pictures to be enlarged) goes through `to_rgb`.
"""

from __future__ import annotations

import functools
from typing import Any

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, Colorspace

from framemill.platform.vision.read import UNSPECIFIED_MATRIX, assumed_matrix, to_rgb

PLANAR = frozenset(f"yuv{full}{chroma}p" for full in ("", "j") for chroma in (420, 422, 444))
RED_BLUE_WEIGHTS = {
    int(Colorspace.ITU709): (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
"""By matrix number (ITU-T H.273, table 4): how much of luma is red, and blue; green is the rest."""


def downscale(frame: VideoFrame, width: int, height: int) -> np.ndarray:
    """The frame as uint8 (height, width, 3) RGB, turned upright: `to_rgb` where that size is smaller than the frame's,
    to within 1 or 2 levels where the picture is smooth."""
    turns = frame.rotation // 90 % 4
    wide, high = (height, width) if turns % 2 else (width, height)
    matrix = int(frame.colorspace)
    if matrix == UNSPECIFIED_MATRIX:
        matrix = 5 if assumed_matrix(frame.height) == Colorspace.ITU601 else int(Colorspace.ITU709)
    larger = frame.width >= wide and frame.height >= high
    # Some decoders leave a fourth, empty plane; some give their lines from the bottom up.
    parts = frame.planes[:3]
    plain = frame.format.name in PLANAR and all(plane.line_size > 0 for plane in parts)
    if not plain or matrix not in RED_BLUE_WEIGHTS or not larger:
        return to_rgb(frame, width, height)
    full = frame.format.name.startswith("yuvj") or frame.color_range == ColorRange.JPEG
    planes = cv2.merge([halved(samples(plane), wide, high) for plane in parts])
    rgb = cv2.transform(planes, to_rgb_matrix(matrix, full))
    return np.ascontiguousarray(np.rot90(rgb, turns)) if turns else rgb


def samples(plane: VideoPlane) -> np.ndarray:
    """What a plane holds, uint8 (h, w), where it lies: not to be kept longer than its frame."""
    held: Any = plane  # a buffer, which its stub does not say
    return np.frombuffer(held, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]


def halved(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """One plane at a given size: halved as often as it can be, then fitted."""
    while picture.shape[1] >= 2 * width and picture.shape[0] >= 2 * height:
        half = (picture.shape[1] // 2, picture.shape[0] // 2)
        picture = cv2.resize(picture, half, interpolation=cv2.INTER_AREA)
    if picture.shape == (height, width):
        return picture
    # Less than a halving is left, of which each pixel is met by interpolation between two.
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)


@functools.cache
def to_rgb_matrix(matrix: int, full: bool) -> np.ndarray:
    """float32 (3, 4): from (Y, Cb, Cr, 1) in 8-bit codes to (R, G, B), by the equations of ITU-T H.273, 8.3."""
    red, blue = RED_BLUE_WEIGHTS[matrix]
    green = 1 - red - blue
    to_unit = np.array(
        [
            [1, 0, 2 * (1 - red)],
            [1, -2 * (1 - blue) * blue / green, -2 * (1 - red) * red / green],
            [1, 2 * (1 - blue), 0],
        ]
    )
    scale = to_unit * (np.array([1, 1, 1]) if full else np.array([255 / 219, 255 / 224, 255 / 224]))
    offset = -scale @ np.array([0 if full else 16, 128, 128])
    return np.hstack([scale, offset[:, None]]).astype(np.float32)
