"""How much each frame changes from the one before: the motion feature of libvmaf."""

from __future__ import annotations

import cv2
import numpy as np

from framemill.data_filters.filters.clip_frames import ClipFrames

_KERNEL = np.array([3571, 16004, 26386, 16004, 3571], np.float32) / 65536
"""Gaussian of libvmaf, 5 taps (integer_motion.h, FILTER), for rows and columns alike."""
_LIMITED_RANGE = 219 / 255
"""libvmaf counts levels of limited range, 16 to 235."""


class VmafMotion:
    """`vmaf_motion`: mean absolute difference of the blurred lumas of consecutive frames, over pixels and pairs.

    As libvmaf's `motion` (Netflix/vmaf, feature/integer_motion.c), in levels of 8-bit video, but at 320 pixels: frames
    of another size give other values. A change of brightness counts as motion, and the value is per frame, so that it
    falls as the frame rate rises.
    """

    def score(self, clip: ClipFrames) -> dict[str, float]:
        """Returns the clip's scores by column."""
        total, before = 0.0, None
        for luma in clip.luma:
            blurred = cv2.sepFilter2D(luma, cv2.CV_32F, _KERNEL, _KERNEL, borderType=cv2.BORDER_REFLECT_101)
            if before is not None:
                total += cv2.norm(before, blurred, cv2.NORM_L1) / luma.size
            before = blurred
        return {"vmaf_motion": _LIMITED_RANGE * total / max(1, len(clip.frames) - 1)}
