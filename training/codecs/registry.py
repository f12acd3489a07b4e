"""Registry of video codecs by config name, which imports neither torch nor diffusers."""

from __future__ import annotations

import functools

from framemill.platform.registry import Entry, Registry
from framemill.training.codecs.base import Codec

CODECS: Registry[Entry] = Registry(
    "codec",
    {
        "dct": Entry("framemill.training.codecs.dct:DctCodec"),
        "wan": Entry("framemill.training.codecs.wan:WanCodec"),
        "ltx2": Entry("framemill.training.codecs.ltx2:Ltx2Codec"),
        "dcae": Entry("framemill.training.codecs.dcae:DcaeCodec"),
    },
)


@functools.lru_cache(maxsize=1)
def get_codec(name: str, path: str = "") -> Codec:
    """Returns a codec; the codec of the last call is cached.

    Args:
        name: name in CODECS.
        path: folder of the codec's weights; "" for a codec without weights.

    Raises:
        RequestError: there is no codec of that name, or the folder does not contain the codec's network.
    """
    codec: type[Codec] = CODECS.load(name)
    return codec(path)
