"""Downscaling a decoded frame to a small RGB image, in a third of the time of FFmpeg's scaler.

The YUV planes are halved repeatedly by averaging 2x2 pixels, for which OpenCV has a fast path, and only the small image
is converted to RGB. This path is for 8-bit planar YUV, which is nearly all footage; `to_rgb` converts all other frames
(10 bits, HDR, RGB, frames to be enlarged).
"""

from __future__ import annotations

import functools
from typing import Any

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, Colorspace

from framemill.platform.vision.orientation import orientation_of
from framemill.platform.vision.read import UNSPECIFIED_MATRIX, assumed_matrix, hdr_transfer, to_rgb

_PLANAR_FORMATS = frozenset(f"yuv{full}{chroma}p" for full in ("", "j") for chroma in (420, 422, 444))
_RED_BLUE_WEIGHTS = {
    int(Colorspace.ITU709): (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
"""Weights of red and blue in luma by matrix number (ITU-T H.273, table 4); the weight of green is 1 minus their sum."""


def downscale(frame: VideoFrame, width: int, height: int) -> np.ndarray:
    """Returns a frame as uint8 (height, width, 3) RGB, rotated upright.

    In smooth areas the result differs from that of `to_rgb` by at most 2 levels.
    """
    orientation = orientation_of(frame)
    wide, high = (height, width) if orientation.turns % 2 else (width, height)
    matrix = int(frame.colorspace)
    if matrix == UNSPECIFIED_MATRIX:
        matrix = 5 if assumed_matrix(frame.height) == Colorspace.ITU601 else int(Colorspace.ITU709)
    larger = frame.width >= wide and frame.height >= high
    # Some decoders add a fourth, empty plane; some store lines from bottom to top (negative line size).
    parts = frame.planes[:3]
    is_planar = frame.format.name in _PLANAR_FORMATS and all(plane.line_size > 0 for plane in parts)
    if hdr_transfer(frame) or not is_planar or matrix not in _RED_BLUE_WEIGHTS or not larger:
        return to_rgb(frame, width, height)
    full = frame.format.name.startswith("yuvj") or frame.color_range == ColorRange.JPEG
    planes = cv2.merge([_resize_plane(_plane_array(plane), wide, high) for plane in parts])
    rgb = cv2.transform(planes, _rgb_matrix(matrix, full))
    return orientation.apply(rgb)


def _plane_array(plane: VideoPlane) -> np.ndarray:
    """Returns a plane as uint8 (h, w), a view that must not outlive its frame."""
    buffer: Any = plane  # its type stub lacks the buffer protocol
    return np.frombuffer(buffer, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]


def _resize_plane(plane: np.ndarray, width: int, height: int) -> np.ndarray:
    """Returns a plane scaled to `width` x `height`: halved as often as possible, then interpolated."""
    while plane.shape[1] >= 2 * width and plane.shape[0] >= 2 * height:
        half = (plane.shape[1] // 2, plane.shape[0] // 2)
        plane = cv2.resize(plane, half, interpolation=cv2.INTER_AREA)
    if plane.shape == (height, width):
        return plane
    # The remaining factor is less than 2, so linear interpolation uses every pixel.
    return cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)


@functools.cache
def _rgb_matrix(matrix: int, full: bool) -> np.ndarray:
    """Returns the float32 (3, 4) matrix from (Y, Cb, Cr, 1) in 8-bit codes to (R, G, B) (ITU-T H.273, 8.3)."""
    red, blue = _RED_BLUE_WEIGHTS[matrix]
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
