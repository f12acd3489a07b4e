"""How stored frames are turned and mirrored for display, from the display matrix of a frame.

The rules are those of ffmpeg's automatic rotation (fftools/ffmpeg_filter.c, configure_input_video_filter).
"""

from __future__ import annotations

import functools
import math
import struct
from dataclasses import dataclass

import cv2
import numpy as np
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame

_TOLERANCE_DEGREES = 1.0
"""A display matrix within this many degrees of a right angle counts as that right angle."""


@dataclass(frozen=True)
class Orientation:
    """The operations that turn a stored frame upright: quarter turns, then mirroring, then a turn by any angle."""

    turns: int = 0
    """Quarter turns counter-clockwise, 0 to 3."""
    mirrored: bool = False
    """Whether left and right are exchanged after the quarter turns."""
    degrees: float = 0.0
    """Clockwise turn about the centre in a frame of unchanged size, for a matrix that is no right angle; else 0."""

    @property
    def is_identity(self) -> bool:
        """Whether stored frames are upright."""
        return self == Orientation()

    def apply(self, rgb: np.ndarray) -> np.ndarray:
        """Returns a stored frame, uint8 (H, W, 3), as it is displayed."""
        if self.is_identity:
            return rgb
        rgb = np.rot90(rgb, self.turns)
        rgb = np.ascontiguousarray(rgb[:, ::-1] if self.mirrored else rgb)
        if not self.degrees:
            return rgb
        height, width = rgb.shape[:2]
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -self.degrees, 1.0)
        return cv2.warpAffine(rgb, matrix, (width, height), flags=cv2.INTER_LINEAR)


def orientation_of(frame: VideoFrame) -> Orientation:
    """Returns the orientation of a decoded frame; the identity if the frame has no display matrix."""
    # PyAV's `frame.rotation` is cheap, and 0 for a matrix that neither turns nor mirrors left to right.
    data = frame.side_data.get(Type.DISPLAYMATRIX)
    return _orientation(bytes(data)) if data is not None else Orientation()


@functools.lru_cache(maxsize=16)
def _orientation(matrix: bytes) -> Orientation:
    """Returns the orientation of a display matrix: nine int32 in the order of ISO/IEC 14496-12, 8.2.2."""
    values = struct.unpack("=9i", matrix[:36])
    a, b, c, d = (values[i] / 65536 for i in (0, 1, 3, 4))
    scales = math.hypot(a, c), math.hypot(b, d)
    if not scales[0] or not scales[1]:
        return Orientation()
    # Clockwise angle of the display, as -av_display_rotation_get (libavutil/display.c), from 0 to 360.
    theta = round(math.degrees(math.atan2(b / scales[1], a / scales[0]))) % 360
    if abs(theta - 90) < _TOLERANCE_DEGREES:
        return Orientation(3, c > 0)
    if abs(theta - 180) < _TOLERANCE_DEGREES:
        if a < 0 and d < 0:
            return Orientation(2)
        return Orientation(0 if a < 0 else 2, a < 0 or d < 0)
    if abs(theta - 270) < _TOLERANCE_DEGREES:
        return Orientation(1, c < 0)
    if min(theta, 360 - theta) < _TOLERANCE_DEGREES:
        return Orientation(2, True) if d < 0 else Orientation()
    return Orientation(degrees=theta)
