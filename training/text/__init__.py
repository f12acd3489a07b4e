"""Text encoders by their config name."""

import functools
import importlib

from framemill.platform.errors import RequestError
from framemill.training.text.base import TextEncoder

# Named as text: the config knows the names without what the encoders import.
TEXT_ENCODERS = {
    "hashed": "framemill.training.text.hashed:HashedTextEncoder",
    "gemma": "framemill.training.text.gemma:GemmaTextEncoder",
}

__all__ = ["TEXT_ENCODERS", "TextEncoder", "get_text_encoder"]


@functools.lru_cache(maxsize=1)
def get_text_encoder(name: str, path: str = "") -> TextEncoder:
    """The text encoder of that name, once a process; `path`: the folder of its weights, for one that has any.

    Raises:
        RequestError: there is no such encoder, or its folder does not hold it.
    """
    if name not in TEXT_ENCODERS:
        raise RequestError(f"text={name}: may be {', '.join(TEXT_ENCODERS)}")
    module, _, kind = TEXT_ENCODERS[name].partition(":")
    encoder: type[TextEncoder] = getattr(importlib.import_module(module), kind)
    return encoder(path)
