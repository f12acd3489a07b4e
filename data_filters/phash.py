"""A perceptual hash of a picture: nearly the same bits however it was encoded or scaled."""

from __future__ import annotations

import cv2
import numpy as np

SIDE, KEPT = 32, 8
"""The picture is scaled to 32x32; of its cosine transform the 8x8 lowest frequencies are kept."""
BITS = 1 << np.arange(KEPT * KEPT, dtype=np.uint64)


def phash(luma: np.ndarray) -> int:
    """64 bits of a picture uint8 (h, w): which of the lowest frequencies of its DCT lie above their median.

    As in pHash (Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010). Two pictures are
    as alike as few of their bits differ; of unlike ones about 32 do. A mirrored picture's hash has the bits of odd
    columns turned round, so one who looks for mirrored copies compares with the hash of the mirrored picture.
    """
    small = cv2.resize(luma, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    # Rounded, so that a picture with nothing in it has no bits made of rounding errors.
    lowest = np.round(cv2.dct(small)[:KEPT, :KEPT], 1).ravel()
    return int(BITS[lowest > np.median(lowest)].sum())
