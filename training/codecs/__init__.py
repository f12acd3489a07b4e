"""Video codecs by their config name."""

from framemill.platform.errors import RequestError
from framemill.training.codecs.base import Codec
from framemill.training.codecs.dct import DctCodec

CODECS: dict[str, type[Codec]] = {codec.name: codec for codec in (DctCodec,)}

__all__ = ["CODECS", "Codec", "get_codec"]


def get_codec(name: str) -> Codec:
    """The codec of that name.

    Raises:
        RequestError: there is none.
    """
    if name not in CODECS:
        raise RequestError(f"codec={name}: may be {', '.join(CODECS)}")
    return CODECS[name]()
