"""temporal_flickering: how little a video changes from frame to frame.

Formula (`vbench/temporal_flickering.py` upstream): (255 - mean over consecutive pairs of MAE) / 255, where MAE is the
mean absolute difference of two frames over all pixels and channels, in grey levels 0..255. No network is needed.

VBench first removes moving videos with a static filter. Without that filter the value is a measure of motion.
"""

from __future__ import annotations

from framemill.eval.dimensions.base import CannotMeasure, DecodedVideo, Dimension, DimensionResult

_WHITE = 255.0


class TemporalFlickering(Dimension[DimensionResult]):
    """One minus the mean absolute difference of consecutive frames, relative to white."""

    def measure(self, video: DecodedVideo) -> DimensionResult:
        """Returns the raw score of one video: 1 for a still video, 0 for one that alternates black and white.

        Raises:
            CannotMeasure: the video has a single frame.
        """
        import cv2
        import numpy as np

        if len(video.frames) < 2:
            raise CannotMeasure("temporal_flickering compares frames: the video has only one")
        # Single precision, pair by pair, as upstream computes it: the published numbers contain this rounding.
        frames = (frame.astype(np.float32) for frame in video.frames)
        previous = next(frames)
        errors = []
        for frame in frames:
            errors.append(np.mean(cv2.absdiff(previous, frame)))
            previous = frame
        return DimensionResult((_WHITE - np.mean(np.array(errors)).item()) / _WHITE)
