"""Video codecs by their config name."""

import functools
import importlib

from framemill.platform.errors import RequestError
from framemill.training.codecs.base import Codec

# Named as text: the config knows the names without what the codecs import.
CODECS = {
    "dct": "framemill.training.codecs.dct:DctCodec",
    "wan": "framemill.training.codecs.wan:WanCodec",
    "ltx2": "framemill.training.codecs.ltx2:Ltx2Codec",
    "dcae": "framemill.training.codecs.dcae:DcaeCodec",
}

__all__ = ["CODECS", "Codec", "get_codec"]


@functools.lru_cache(maxsize=1)
def get_codec(name: str, path: str = "") -> Codec:
    """The codec of that name, once a process; `path`: the folder of its weights, for one that has any.

    Raises:
        RequestError: there is no such codec, or its folder does not hold it.
    """
    if name not in CODECS:
        raise RequestError(f"codec={name}: may be {', '.join(CODECS)}")
    module, _, kind = CODECS[name].partition(":")
    codec: type[Codec] = getattr(importlib.import_module(module), kind)
    return codec(path)
