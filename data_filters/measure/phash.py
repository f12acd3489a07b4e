"""Perceptual hash of a frame: nearly the same bits whether it was re-encoded, rescaled or cropped a little.

As in pHash (Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010) the hash is made from
the signs of the lowest DCT coefficients; here not of each coefficient alone, but of sums of them all with random signs
(Charikar, "Similarity estimation techniques from rounding algorithms", 2002). So no bit depends on a coefficient that
is near zero, and the share of bits in which two hashes differ measures the angle between their coefficients: about half
for unlike frames. The sums are of square roots, or a single strong pattern, such as a horizon, would decide every bit.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

BITS = 128
"""Length of a hash."""
HALF = BITS // 2
"""Mirroring keeps the first half of the bits and inverts the second: it changes the signs of the DCT coefficients of
odd columns and of no others, and the two kinds of coefficients have sums of their own."""

_SIDE = 32
"""The frame is scaled to 32x32 before the DCT of its luma and chroma."""
_LUMA_SIDE, _CHROMA_SIDE = 8, 4
"""The 8x8 (luma) and 4x4 (each chroma) lowest DCT coefficients are used."""
_LUMA_DC, _CHROMA_DC = 0.0, 0.2
"""Weights of coefficient 0, the mean, which is larger than all others: brightness counts nothing, colour a little."""
_RISE = 0.5
"""Weight of luma coefficient k is |k| ** RISE: flattens the 1/f spectrum only partly, because crops shift high
frequencies most."""
_FLAT_DEVIATION = 2.0
"""Standard deviation of 8-bit luma up to which a frame is blank: its hash would be one of noise."""


def phash(rgb: np.ndarray) -> bytes:
    """Returns the hash of a frame, 16 bytes; empty for a blank frame.

    Args:
        rgb: uint8 (h, w, 3).
    """
    small = cv2.resize(rgb.astype(np.float32) / 255, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    luma, red, blue = (255 * plane for plane in cv2.split(cv2.cvtColor(small, cv2.COLOR_RGB2YCrCb)))
    if luma.std() <= _FLAT_DEVIATION:
        return b""
    planes = [cv2.dct(luma)[:_LUMA_SIDE, :_LUMA_SIDE] * _weights(_LUMA_SIDE, _RISE, _LUMA_DC)]
    planes += [
        cv2.dct(plane - 127.5)[:_CHROMA_SIDE, :_CHROMA_SIDE] * _weights(_CHROMA_SIDE, 0.0, _CHROMA_DC)
        for plane in (red, blue)
    ]
    # Whole numbers, so that no sum depends on the order in which a machine adds.
    roots = [np.rint(100 * np.sign(plane) * np.sqrt(np.abs(plane))).astype(np.int64) for plane in planes]
    halves = [np.concatenate([root[:, odd::2].ravel() for root in roots]) for odd in (0, 1)]
    sums = np.concatenate([_signs()[:, : len(half)] @ half for half in halves])
    return np.packbits(sums > 0).tobytes()


@lru_cache
def _weights(side: int, power: float, dc: float) -> np.ndarray:
    """Returns the weights of DCT coefficients, float32 (side, side): |k| ** power, and `dc` of coefficient 0."""
    row, column = np.mgrid[:side, :side]
    weights = np.hypot(row, column) ** power
    weights[0, 0] = dc
    return weights.astype(np.float32)


@lru_cache
def _signs() -> np.ndarray:
    """Returns Sylvester's Hadamard matrix, (64, 64) of 1 and -1: any two rows agree in half of their columns."""
    matrix = np.ones((1, 1), np.int64)
    while len(matrix) < HALF:
        matrix = np.kron(matrix, np.array([[1, 1], [1, -1]]))
    return matrix
