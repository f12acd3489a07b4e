"""The interface of a text encoder. To add an encoder, copy `hashed.py`.

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
    """Name in the registry."""
    width: int
    """Width of an embedding, D."""
    max_tokens: ClassVar[int]
    """Maximum number of tokens of a text."""
    folders: tuple[Path, ...] = ()
    """Folders of the encoder's weights; empty for an encoder without weights."""

    @abstractmethod
    def __init__(self, path: str) -> None:
        """Makes the encoder.

        Args:
            path: folder of the encoder's weights; "" for an encoder without weights.
        """

    @abstractmethod
    def encode_one(self, text: str) -> np.ndarray:
        """Returns float32 embeddings (L, D) of one text, 1 <= L <= max_tokens, without padding."""

    def encode_null(self, text: str = "") -> np.ndarray:
        """Returns the float32 embeddings (L, D) that guidance moves away from, by default of the empty text.

        An encoder that adds an instruction to captions omits the instruction here.
        """
        return self.encode_one(text)

    def encode(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Returns float32 embeddings (B, L, D), padded with zeros to the longest text, and a bool mask (B, L).

        The mask is true at tokens and false at padding.
        """
        return pad([self.encode_one(text) for text in texts])


def pad(texts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Returns embeddings (L_i, D) as float32 (B, L, D), padded with zeros, and a bool mask (B, L), true at tokens."""
    lengths = np.array([len(text) for text in texts])
    mask = np.arange(lengths.max()) < lengths[:, None]
    padded = np.zeros((*mask.shape, texts[0].shape[1]), np.float32)
    padded[mask] = np.concatenate(texts)
    return padded, mask
