"""How saturated a clip is: over-saturated pictures are often synthetic, or HDR shown as SDR."""

from __future__ import annotations

import cv2
import numpy as np

from framemill.data_filters.filters.clip_frames import ClipFrames


class Saturation:
    """`saturation`: mean S of HSV over pixels and frames 0.5 s apart, 0..255 (OpenCV's scale, as SANA-Video counts)."""

    def score(self, clip: ClipFrames) -> dict[str, float]:
        return {"saturation": float(np.mean([self.mean_s(frame) for frame in clip.samples]))}

    def mean_s(self, rgb: np.ndarray) -> float:
        return float(cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)[..., 1].mean())
