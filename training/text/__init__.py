"""Text encoders by their config name."""

from framemill.platform.errors import RequestError
from framemill.training.text.base import TextEncoder
from framemill.training.text.hashed import HashedTextEncoder

TEXT_ENCODERS: dict[str, type[TextEncoder]] = {encoder.name: encoder for encoder in (HashedTextEncoder,)}

__all__ = ["TEXT_ENCODERS", "TextEncoder", "get_text_encoder"]


def get_text_encoder(name: str) -> TextEncoder:
    """The text encoder of that name.

    Raises:
        RequestError: there is none.
    """
    if name not in TEXT_ENCODERS:
        raise RequestError(f"text={name}: may be {', '.join(TEXT_ENCODERS)}")
    return TEXT_ENCODERS[name]()
