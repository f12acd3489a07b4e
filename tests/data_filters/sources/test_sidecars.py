"""Sidecars of videos: captions and facts in any encoding and of any type cost at most the caption."""

from __future__ import annotations

import json

import pytest

from framemill.data_filters.sources.sidecars import CAPTION_SEPARATOR, SidecarError, parse_object, parse_sidecars

SENTENCE = "A brown dog runs; caf\u00e9."


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_a_caption_in_any_encoding(encoding: str) -> None:
    assert parse_sidecars("a.mp4", f"{SENTENCE}\r\n".encode(encoding), None)[0] == SENTENCE
    facts = json.dumps({"caption": SENTENCE, "tags": ["dog"]}, ensure_ascii=False).encode(encoding)
    assert parse_sidecars("a.mp4", None, facts) == (SENTENCE, {"tags": ["dog"], "licence": None, "external": None})


@pytest.mark.parametrize(
    ("caption", "wanted"),
    [
        (["A dog runs.", "A brown dog runs."], f"A dog runs.{CAPTION_SEPARATOR}A brown dog runs."),
        (["A dog runs.", " A dog runs.\n", ""], "A dog runs."),
        ([], None),
        ({"en": "A dog runs."}, None),
        ([{"en": "A dog runs."}], None),
        (["A dog runs.", 3], None),
        (3, None),
        (True, None),
        ("A dog runs \ud83d", "A dog runs"),
        ("\ufeff\x00", None),
    ],
)
def test_a_caption_of_any_type(caption: object, wanted: str | None) -> None:
    assert parse_sidecars("a.mp4", None, json.dumps({"caption": caption}).encode())[0] == wanted


def test_tags_and_other_facts_can_be_encoded() -> None:
    facts = json.dumps({"tags": ["dog \ud83d", 3], "licence": "CC\x00 BY"}).encode()
    assert parse_sidecars("a.mp4", None, facts)[1] == {"tags": ["dog", "3"], "licence": "CC BY", "external": None}
    value = parse_object("a.json", b'{"a \\ud83d": ["b\\udc00", {"c": "\\ud83d\\udc36"}], "d": NaN}')
    assert value == {"a ": ["b", {"c": "\U0001f436"}], "d": None}


@pytest.mark.parametrize("data", [b"", b"[1]", b"{", b"[" * 100_000])
def test_facts_that_are_no_object_are_refused(data: bytes) -> None:
    with pytest.raises(SidecarError, match=r"a\.json beside it is not"):
        parse_object("a.json", data)
