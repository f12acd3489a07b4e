"""Video codecs: maps between frames and latents."""

from framemill.training.codecs.base import Codec
from framemill.training.codecs.registry import CODECS, get_codec

__all__ = ["CODECS", "Codec", "get_codec"]
