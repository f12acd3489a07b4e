"""What a text encoder is. The next one is a file like `hashed.py`.

Shapes: B texts, L tokens, D width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import numpy as np


class TextEncoder(ABC):
    """Turns captions into token embeddings. The empty caption, which guidance needs, has at least one token."""

    name: ClassVar[str]
    width: int
    max_tokens: ClassVar[int]
    folders: tuple[Path, ...] = ()
    """Where its weights lie; none for an encoder without."""

    @abstractmethod
    def __init__(self, path: str) -> None:
        """`path`: the folder of its weights; "" for an encoder without."""

    @abstractmethod
    def encode_one(self, text: str) -> np.ndarray:
        """Float32 (L, D) of one text, 1 <= L <= max_tokens: no padding."""

    def encode_null(self, text: str = "") -> np.ndarray:
        """What guidance moves away from, by default nothing: as `encode_one`, without what that adds to a caption."""
        return self.encode_one(text)

    def encode(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Float32 (B, L, D), padded with zeros to the longest of the texts, and a mask (B, L), true at tokens."""
        return pad([self.encode_one(text) for text in texts])


def pad(texts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings (L_i, D) -> float32 (B, L, D), padded with zeros to the longest, and a mask (B, L), true at tokens."""
    lengths = np.array([len(text) for text in texts])
    mask = np.arange(lengths.max()) < lengths[:, None]
    padded = np.zeros((*mask.shape, texts[0].shape[1]), np.float32)
    padded[mask] = np.concatenate(texts)
    return padded, mask
