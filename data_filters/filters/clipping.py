"""The filter `clipping`: the shares of pixels that are clipped to black or white."""

from __future__ import annotations

import numpy as np

from framemill.data_filters.filters.clip_frames import SAMPLE_S, ClipFrames
from framemill.data_filters.filters.technical import BLACK_LUMA, WHITE_LUMA


class Clipping:
    """`clipped_dark`, `clipped_bright`: shares of pixels with 8-bit luma at most 16 and at least 239, each 0..1.

    Detail is lost in clipped pixels. The shares are means over frames 0.5 s apart, without black bars.
    """

    def score(self, clip: ClipFrames) -> dict[str, float]:
        """Returns the clip's scores by column."""
        lumas = [clip.bars.inside(clip.luma[i]) for i in clip.every(SAMPLE_S)]
        return {
            "clipped_dark": float(np.mean([np.mean(luma <= BLACK_LUMA) for luma in lumas])),
            "clipped_bright": float(np.mean([np.mean(luma >= WHITE_LUMA) for luma in lumas])),
        }
