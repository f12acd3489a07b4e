"""Text from outside, made fit to be shown: a file's name may hold what hides or rearranges the rest of a line."""

LONGEST = 300
"""Letters of a name, a reason or a caption."""


def display_text(text: str, longest: int = LONGEST) -> str:
    """Text with control and direction characters written out, and cut to a length."""
    text = text if len(text) <= longest else text[: longest - 1] + "\u2026"
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text)
