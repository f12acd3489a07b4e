"""Video codecs by their config name, known without importing torch or diffusers."""

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
    """Returns a codec, built once per process.

    Args:
        name: name in CODECS.
        path: folder of the codec's weights; "" for a codec without.

    Raises:
        RequestError: there is no codec of that name, or the folder does not hold its network.
    """
    codec: type[Codec] = CODECS.load(name)
    return codec(path)
