"""A text encoder that needs no weights: each word piece has a fixed pseudo-random embedding.

Embeddings distinguish captions and show shared words, but represent neither the meaning nor the order of words.
"""

from __future__ import annotations

import functools
import hashlib
import re

import numpy as np

from framemill.platform.errors import RequestError
from framemill.training.text.base import TextEncoder

_WIDTH = 64
"""Width of an embedding: the bits of a hash."""
_PIECE_LETTERS = 8
"""Letters of a word piece. A longer word is several pieces, so that its inflected forms share the first."""
_WORD = re.compile(r"\w+|[^\w\s]")
"""A word, or a punctuation mark."""
_START = "<bos>"
"""First piece of every text. No piece of a caption can be equal: brackets are separate pieces."""


def word_pieces(text: str) -> list[str]:
    """Returns the lower-cased words and punctuation of a text; continuations of long words begin with "##"."""
    pieces: list[str] = []
    for word in _WORD.findall(text.lower()):
        pieces.append(word[:_PIECE_LETTERS])
        starts = range(_PIECE_LETTERS, len(word), _PIECE_LETTERS)
        pieces.extend("##" + word[start : start + _PIECE_LETTERS] for start in starts)
    return pieces


@functools.lru_cache(maxsize=65536)
def _embedding(piece: str) -> np.ndarray:
    """Returns the 64 bits of the piece's hash as values of -1 and 1, nearly orthogonal to other pieces' values."""
    digest = hashlib.blake2b(piece.encode(), digest_size=_WIDTH // 8).digest()
    return np.unpackbits(np.frombuffer(digest, np.uint8)).astype(np.float32) * 2 - 1


class HashedTextEncoder(TextEncoder):
    """Text encoder that embeds each word piece by a hash."""

    name = "hashed"
    width = _WIDTH
    max_tokens = 300

    def __init__(self, path: str = "") -> None:
        """Makes the encoder.

        Args:
            path: must be "", since the encoder has no weights.

        Raises:
            RequestError: a path was given.
        """
        if path:
            raise RequestError(f"text_path={path}: must be empty for text=hashed, which has no weights")

    def encode_one(self, text: str) -> np.ndarray:
        """Returns float32 embeddings (L, 64) of a text's word pieces, with <bos> first."""
        return np.stack([_embedding(piece) for piece in [_START, *word_pieces(text)][: self.max_tokens]])
