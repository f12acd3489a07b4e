"""Rows of clips whose perceptual hashes are random bits, so that every distance between them is known."""

from __future__ import annotations

import numpy as np

from framemill.data_filters.measure.phash import HALF


def hashes(seed: int, frames: int = 6) -> np.ndarray:
    """Random bits (frames, 128), bool, of a clip that resembles no other seed's."""
    return np.random.default_rng(seed).integers(0, 2, (frames, 128)).astype(bool)


def turned(bits: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """The bits with `count` of each frame, drawn at random, inverted."""
    random = np.random.default_rng(seed)
    result = bits.copy()
    for row in result:
        row[random.permutation(128)[:count]] ^= True
    return result


def packed(bits: np.ndarray) -> bytes:
    """The bits as the column `phashes` stores them."""
    return np.packbits(bits, axis=1).tobytes()


def words(bits: np.ndarray) -> np.ndarray:
    """The bits as uint64 (frames, 2)."""
    return np.frombuffer(packed(bits), ">u8").astype(np.uint64).reshape(-1, 2)


def clip(
    key: str, bits: np.ndarray, side: int = 100, technical: float = 0.5, source: str = "", **columns: object
) -> dict:
    """The row of a clip of a square video, from a source of its own."""
    sizes = {"width": side, "height": side, "technical": technical}
    return {"key": key, "path": source or key, "phashes": packed(bits), **sizes, **columns}


def mirrored(bits: np.ndarray) -> np.ndarray:
    """The bits of the mirrored picture: those of odd columns are inverted."""
    return np.concatenate([bits[:, :HALF], ~bits[:, HALF:]], axis=1)


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1."""
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
