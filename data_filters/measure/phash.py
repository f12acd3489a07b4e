"""A perceptual hash of a picture: nearly the same bits however it was encoded, scaled, or a little cropped."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

SIDE = 32
"""The picture is scaled to 32x32, and its luma and chroma go through a cosine transform."""
LUMA, CHROMA = 8, 4
"""Of it the 8x8 (luma) and 4x4 (each chroma) lowest frequencies count."""
LUMA_MEAN, CHROMA_MEAN = 0.0, 0.2
"""Weights of the mean itself, which is larger than all others: of brightness none, of colour a little."""
RISE = 0.5
"""A frequency of luma weighs its distance from 0 to this power: pictures hold less the higher it is, and only part of
that is evened out, since a crop moves the higher ones most."""
FLAT = 2.0
"""Standard deviation of 8-bit luma up to which a picture shows nothing: its hash would be one of noise."""
BITS = 128
HALF = BITS // 2
"""The first half of the bits is that of the mirrored picture too, in which each bit of the second half is inverted."""
BYTES = BITS // 8


def phash(rgb: np.ndarray) -> bytes:
    """16 bytes of a picture uint8 (h, w, 3) RGB; none where it shows nothing.

    As in pHash (Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010) the signs of the
    lowest frequencies of its DCT; not of each by itself, but of sums of them all under signs of their own (Charikar,
    "Similarity estimation techniques from rounding algorithms", 2002). So a frequency that is hardly there decides no
    bit, and the share of bits in which two pictures differ tells the angle between their frequencies: about half in
    unlike ones. Roots are taken first, or a single strong form, such as a horizon, would be all that counts.

    Mirroring turns the signs of the frequencies of odd columns and no others: each kind has sums of its own.
    """
    small = cv2.resize(rgb.astype(np.float32) / 255, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    luma, red, blue = (255 * plane for plane in cv2.split(cv2.cvtColor(small, cv2.COLOR_RGB2YCrCb)))
    if luma.std() <= FLAT:
        return b""
    waves = [cv2.dct(luma)[:LUMA, :LUMA] * weights(LUMA, RISE, LUMA_MEAN)]
    waves += [cv2.dct(plane - 127.5)[:CHROMA, :CHROMA] * weights(CHROMA, 0.0, CHROMA_MEAN) for plane in (red, blue)]
    # Whole numbers, so that no sum depends on the order in which a machine adds.
    roots = [np.rint(100 * np.sign(wave) * np.sqrt(np.abs(wave))).astype(np.int64) for wave in waves]
    halves = [np.concatenate([root[:, odd::2].ravel() for root in roots]) for odd in (0, 1)]
    sums = np.concatenate([signs()[:, : len(half)] @ half for half in halves])
    return np.packbits(sums > 0).tobytes()


@lru_cache
def weights(side: int, power: float, mean: float) -> np.ndarray:
    """float32 (side, side): the distance of each frequency from 0 to that power; `mean` at 0 itself."""
    row, column = np.mgrid[:side, :side]
    distance = np.hypot(row, column) ** power
    distance[0, 0] = mean
    return distance.astype(np.float32)


@lru_cache
def signs() -> np.ndarray:
    """(64, 64) of 1 and -1, any two rows of which agree in half: Sylvester's Hadamard matrix."""
    matrix = np.ones((1, 1), np.int64)
    while len(matrix) < HALF:
        matrix = np.kron(matrix, np.array([[1, 1], [1, -1]]))
    return matrix
