"""Text that others wrote: decoded in any encoding, and cleaned so that every table and file can hold it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framemill.platform.text import clean_text, decode_text, file_lines, name_identity, valid_text

SENTENCE = "A brown dog runs; caf\u00e9."


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "windows-1252"]
)
def test_a_sentence_is_read_in_any_encoding(encoding: str) -> None:
    assert decode_text(SENTENCE.encode(encoding)) == SENTENCE


@given(st.binary(max_size=200))
def test_any_bytes_become_text_that_utf8_can_hold(data: bytes) -> None:
    text = clean_text(decode_text(data))
    assert text.encode().decode() == text and text == " ".join(text.split())
    assert not any(ord(letter) < 32 for letter in text)


@given(st.text(st.characters(), max_size=40))
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    assert clean_text(clean_text(text)) == clean_text(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("A dog runs \ud83d", "A dog runs"),
        ("\udc00A dog runs", "A dog runs"),
        ("A dog \ud83d\udc36 runs", "A dog \U0001f436 runs"),
        ("\ufeffA dog\x00 runs\r\nfast\u2028now", "A dog runs fast now"),
        ("A\u202e dog\x0bruns", "A dog runs"),
    ],
)
def test_what_no_table_can_hold_is_removed(text: str, wanted: str) -> None:
    assert clean_text(text) == wanted


def test_text_without_surrogates_is_returned_as_it_is() -> None:
    assert valid_text(SENTENCE) is SENTENCE


def test_only_line_feeds_and_carriage_returns_end_a_line() -> None:
    assert file_lines("a\x0bb\nc\u2028d\r\ne\x85f\rg\x0c\n") == ["a\x0bb", "c\u2028d", "e\x85f", "g\x0c"]
    assert file_lines("") == [] and file_lines("a\n\nb") == ["a", "", "b"]


@pytest.mark.parametrize(
    ("one", "other"), [("A dog", "a DOG"), ("caf\u00e9", "cafe\u0301"), ("stra\u00dfe", "STRASSE")]
)
def test_names_that_a_file_system_may_confuse_have_one_identity(one: str, other: str) -> None:
    assert name_identity(one) == name_identity(other) != name_identity(one + "s")
