"""The filter `saturation`: over-saturated frames are often synthetic, or HDR shown as SDR."""

from __future__ import annotations

import cv2
import numpy as np

from framemill.data_filters.filters.clip_frames import ClipFrames


class Saturation:
    """`saturation`: mean HSV saturation over pixels and frames 0.5 s apart, 0..255 (OpenCV scale, as in SANA-Video)."""

    def score(self, clip: ClipFrames) -> dict[str, float]:
        """Returns the clip's scores by column."""
        return {"saturation": float(np.mean([self._mean_saturation(frame) for frame in clip.samples]))}

    def _mean_saturation(self, rgb: np.ndarray) -> float:
        return float(cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)[..., 1].mean())
