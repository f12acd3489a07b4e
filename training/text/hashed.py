"""A text encoder that needs no weights: each piece of a word is a fixed pseudo-random vector.

It tells captions apart and knows that they share words, but neither what words mean nor in which order they stand.
"""

from __future__ import annotations

import functools
import hashlib
import re

import numpy as np

from framemill.platform.errors import RequestError
from framemill.training.text.base import TextEncoder

WIDTH = 64
PIECE = 8  # letters; a longer word is several pieces, so that its forms share the first
WORD = re.compile(r"\w+|[^\w\s]")
START = "<bos>"  # no word looks like this: brackets are pieces of their own


def pieces(text: str) -> list[str]:
    """The lower-cased words and punctuation of a text, long words in pieces that know they go on."""
    found: list[str] = []
    for word in WORD.findall(text.lower()):
        found.append(word[:PIECE])
        found.extend("##" + word[at : at + PIECE] for at in range(PIECE, len(word), PIECE))
    return found


@functools.lru_cache(maxsize=65536)
def signs(piece: str) -> np.ndarray:
    """64 signs, the bits of the piece's hash: unit root mean square, nearly orthogonal to others, alike everywhere."""
    bits = np.unpackbits(np.frombuffer(hashlib.blake2b(piece.encode(), digest_size=WIDTH // 8).digest(), np.uint8))
    return bits.astype(np.float32) * 2 - 1


class HashedTextEncoder(TextEncoder):
    name = "hashed"
    width = WIDTH
    max_tokens = 300

    def __init__(self, path: str = "") -> None:
        if path:
            raise RequestError(f"text_path={path}: hashed has no weights")

    def encode_one(self, text: str) -> np.ndarray:
        return np.stack([signs(piece) for piece in [START, *pieces(text)][: self.max_tokens]])
