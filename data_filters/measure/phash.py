"""Perceptual hash of a frame, which hardly changes if the frame is re-encoded, rescaled or slightly cropped.

pHash (Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010) takes the signs of the lowest
DCT coefficients. Here each bit is the sign of a sum of all these coefficients, with pseudo-random signs as in SimHash
(Charikar, "Similarity estimation techniques from rounding algorithms", 2002). A bit therefore never depends on a single
coefficient near zero, and the share of bits that differ between two hashes measures the angle between the coefficient
vectors: about half for unrelated frames. Square roots of the coefficients are summed, so that a single strong pattern,
such as a horizon, does not decide every bit.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

BITS = 128
"""Length of a hash in bits."""
HALF = BITS // 2
"""Number of bits that mirroring a frame keeps; it inverts the remaining bits. Mirroring negates exactly the DCT
coefficients of odd columns; the first half of the bits sums the even columns, the second half the odd columns."""

_SIDE = 32
"""Side of the square that a frame is scaled to before the DCT of luma and chroma, pixels."""
_LUMA_SIDE, _CHROMA_SIDE = 8, 4
"""The lowest 8x8 DCT coefficients of luma and 4x4 of each chroma plane are used."""
_LUMA_DC, _CHROMA_DC = 0.0, 0.2
"""Weights of the DC coefficients, which are the largest: mean brightness is ignored, mean colour counts little."""
_RISE = 0.5
"""The weight of the luma coefficient at frequency k is |k| ** RISE, which flattens the 1/f spectrum only partly,
because crops change high frequencies most."""
_FLAT_DEVIATION = 2.0
"""Maximum standard deviation of 8-bit luma of a blank frame, whose hash would depend on noise."""


def phash(rgb: np.ndarray) -> bytes:
    """Returns the perceptual hash of a frame, 16 bytes; empty for a blank frame.

    Args:
        rgb: frame, uint8 (h, w, 3).
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
    # Integers, so that sums do not depend on the order of addition, which differs between machines.
    roots = [np.rint(100 * np.sign(plane) * np.sqrt(np.abs(plane))).astype(np.int64) for plane in planes]
    halves = [np.concatenate([root[:, odd::2].ravel() for root in roots]) for odd in (0, 1)]
    sums = np.concatenate([_signs()[:, : len(half)] @ half for half in halves])
    return np.packbits(sums > 0).tobytes()


@lru_cache
def _weights(side: int, power: float, dc: float) -> np.ndarray:
    """Returns the weights of DCT coefficients, float32 (side, side): |k| ** power, and `dc` at k = 0."""
    row, column = np.mgrid[:side, :side]
    weights = np.hypot(row, column) ** power
    weights[0, 0] = dc
    return weights.astype(np.float32)


@lru_cache
def _signs() -> np.ndarray:
    """Returns Sylvester's Hadamard matrix, int64 (64, 64) of 1 and -1; any two rows agree in half of their columns."""
    matrix = np.ones((1, 1), np.int64)
    while len(matrix) < HALF:
        matrix = np.kron(matrix, np.array([[1, 1], [1, -1]]))
    return matrix
