"""Text from outside as it is shown: the name of a file may contain characters that hide or rearrange a line."""

MAX_LENGTH = 300
"""Characters of a name, a reason or a caption that are shown."""


def display_text(text: str, max_length: int = MAX_LENGTH) -> str:
    """Returns text with control and direction characters escaped, cut to `max_length` characters."""
    text = text if len(text) <= max_length else text[: max_length - 1] + "\u2026"
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text)
