"""How much of a clip is clipped to black or white."""

from __future__ import annotations

import numpy as np

from framemill.data_filters.filters.clip_frames import SAMPLE_S, ClipFrames
from framemill.data_filters.filters.technical import BLACK_LUMA, WHITE_LUMA


class Clipping:
    """`clipped_dark`, `clipped_bright`: shares (0..1) of pixels whose 8-bit luma is at most 16, or at least 239.

    Such pixels have lost their detail. Means over frames 0.5 s apart, without black bars.
    """

    def score(self, clip: ClipFrames) -> dict[str, float]:
        """Returns the clip's scores by column."""
        lumas = [clip.bars.inside(clip.luma[i]) for i in clip.every(SAMPLE_S)]
        return {
            "clipped_dark": float(np.mean([np.mean(luma <= BLACK_LUMA) for luma in lumas])),
            "clipped_bright": float(np.mean([np.mean(luma >= WHITE_LUMA) for luma in lumas])),
        }
