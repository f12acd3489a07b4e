"""Registry of text encoders by config name, which imports neither torch nor transformers."""

from __future__ import annotations

import functools

from framemill.platform.registry import Entry, Registry
from framemill.training.text.base import TextEncoder

TEXT_ENCODERS: Registry[Entry] = Registry(
    "text",
    {
        "hashed": Entry("framemill.training.text.hashed:HashedTextEncoder"),
        "gemma": Entry("framemill.training.text.gemma:GemmaTextEncoder"),
    },
)


@functools.lru_cache(maxsize=1)
def get_text_encoder(name: str, path: str = "") -> TextEncoder:
    """Returns a text encoder; the encoder of the last call is cached.

    Args:
        name: name in TEXT_ENCODERS.
        path: folder of the encoder's weights; "" for an encoder without weights.

    Raises:
        RequestError: there is no text encoder of that name, or the folder does not contain the encoder's network.
    """
    encoder: type[TextEncoder] = TEXT_ENCODERS.load(name)
    return encoder(path)
