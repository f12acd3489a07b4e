"""Text encoders: captions to token embeddings."""

from framemill.training.text.base import TextEncoder
from framemill.training.text.registry import TEXT_ENCODERS, get_text_encoder

__all__ = ["TEXT_ENCODERS", "TextEncoder", "get_text_encoder"]
