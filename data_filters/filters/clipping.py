"""How much of a clip is lost in black or white."""

from __future__ import annotations

import numpy as np

from framemill.data_filters.filters.clip_frames import ClipFrames
from framemill.data_filters.filters.technical import BLACK, WHITE


class Clipping:
    """`clipped_dark`, `clipped_bright`: shares (0..1) of pixels whose 8-bit luma is at most 16, or at least 239, where
    no detail is left; over frames 0.5 s apart, without black bars."""

    def score(self, clip: ClipFrames) -> dict[str, float]:
        pictures = [clip.bars.inside(clip.luma[i]) for i in clip.every(0.5)]
        return {
            "clipped_dark": float(np.mean([np.mean(picture <= BLACK) for picture in pictures])),
            "clipped_bright": float(np.mean([np.mean(picture >= WHITE) for picture in pictures])),
        }
