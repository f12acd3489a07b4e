"""Displaying untrusted text: file names may contain control characters that hide or rearrange a line."""

MAX_LENGTH = 300
"""Default maximum length of a displayed name, reason or caption, characters."""


def display_text(text: str, max_length: int = MAX_LENGTH) -> str:
    """Returns text truncated to `max_length` characters, with non-printable characters escaped."""
    text = text if len(text) <= max_length else text[: max_length - 1] + "\u2026"
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text)
