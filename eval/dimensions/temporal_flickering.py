"""temporal_flickering: how little a video that should stand still changes from frame to frame.

Formula (`vbench/temporal_flickering.py` upstream): (255 - mean over consecutive pairs of MAE) / 255, where MAE is the
mean absolute difference of two frames over all pixels and channels, in grey levels 0..255. No network.

The benchmark applies it to videos that a static filter has let through; on a video with motion it measures motion.
"""

from __future__ import annotations

from typing import Any

from framemill.eval.dimensions.base import CannotMeasure, Clip, Dimension, register

WHITE = 255.0


@register
class TemporalFlickering(Dimension):
    name = "temporal_flickering"

    def measure(self, clip: Clip) -> dict[str, Any]:
        import cv2
        import numpy as np

        if len(clip.frames) < 2:
            raise CannotMeasure("temporal_flickering compares frames: the video has only one")
        # Single precision, pair by pair, as upstream: its published numbers carry that rounding.
        single = (frame.astype(np.float32) for frame in clip.frames)
        previous = next(single)
        errors = []
        for frame in single:
            errors.append(np.mean(cv2.absdiff(previous, frame)))
            previous = frame
        return {"video_results": (WHITE - np.mean(np.array(errors)).item()) / WHITE}
