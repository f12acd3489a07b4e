"""The filter `vmaf_motion`: the mean change between consecutive frames, libvmaf's feature `motion`."""

from __future__ import annotations

import cv2
import numpy as np

from framemill.data_filters.filters.clip_frames import ClipFrames

_KERNEL = np.array([3571, 16004, 26386, 16004, 3571], np.float32) / 65536
"""Gaussian kernel of libvmaf with 5 taps (integer_motion.h, FILTER), applied to rows and to columns."""
_LIMITED_RANGE = 219 / 255
"""Factor from full-range luma to the limited range 16..235, in whose levels libvmaf measures."""


class VmafMotion:
    """`vmaf_motion`: mean absolute difference of the blurred lumas of consecutive frames, over pixels and pairs.

    Equals libvmaf's `motion` (Netflix/vmaf, feature/integer_motion.c) in levels of 8-bit limited-range video, but is
    computed at 320 pixels; other sizes give other values. Brightness changes count as motion, and the value falls as
    the frame rate rises.
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
