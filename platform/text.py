"""Untrusted text: decoding and cleaning what others wrote, and displaying it on a terminal or a page."""

from __future__ import annotations

import codecs
import re
import unicodedata

MAX_LENGTH = 300
"""Default maximum length of a displayed name, reason or caption, characters."""
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""Byte order marks, with the encodings that they announce; UTF-32 before UTF-16, whose mark it begins with."""
_INVISIBLE = re.compile("[\ufeff\u200b\u2060\u00ad\u202a-\u202e\u2066-\u2069\u200e\u200f]")
"""Byte order marks inside a text, zero-width and soft marks, and marks that change the direction of writing."""
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_LINE_END = re.compile("\r\n|\n|\r")


def display_text(text: str, max_length: int = MAX_LENGTH) -> str:
    """Returns text truncated to `max_length` characters, with non-printable characters escaped."""
    text = text if len(text) <= max_length else text[: max_length - 1] + "\u2026"
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text)


def decode_text(data: bytes) -> str:
    """Returns the text of a file in UTF-8, UTF-16 or UTF-32, or else in Windows-1252, which has Latin-1's letters.

    The encoding is that of the byte order mark. Without a mark it is UTF-8; or UTF-16, if every other byte of the
    beginning is 0; or Windows-1252, for bytes that are not UTF-8. Bytes that the encoding lacks become U+FFFD.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    start = data[:64]
    if len(start) >= 4 and not len(data) % 2:
        for encoding, zeros in (("utf-16-le", start[1::2]), ("utf-16-be", start[::2])):
            if not any(zeros):
                return data.decode(encoding, "replace")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("windows-1252", "replace")


def valid_text(text: str) -> str:
    """Returns text that can be encoded as UTF-8: pairs of surrogates are joined, and lone surrogates removed."""
    if not any("\ud800" <= letter <= "\udfff" for letter in text):
        return text
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
    return "".join(letter for letter in joined if not "\ud800" <= letter <= "\udfff")


def clean_text(text: str) -> str:
    """Returns text on one line that every table, file and terminal can hold.

    Lone surrogates, control characters, and invisible marks are removed; all white space, including line ends of any
    kind, becomes single spaces.
    """
    text = valid_text(text)
    text = _INVISIBLE.sub("", _CONTROL.sub(lambda match: " " if match[0].isspace() else "", text))
    return " ".join(text.split())


def file_lines(text: str) -> list[str]:
    """Returns the lines of a text file. Only line feeds and carriage returns end a line.

    `str.splitlines` also splits at vertical tabs, form feeds, U+0085, U+2028 and U+2029, which occur inside prompts
    and JSON strings.
    """
    lines = _LINE_END.split(text)
    return lines[:-1] if lines[-1] == "" else lines


def name_identity(name: str) -> str:
    """Returns a string that is equal for two file names that some file system takes for the same name.

    Names are equal without regard to case (Windows, macOS) and to Unicode normal form (macOS).
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKD", name).casefold())
