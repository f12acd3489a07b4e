"""Prompt files and the names of generated videos."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from framemill.platform.text import name_identity
from framemill.training.generation.prompts import Prompt, plan_videos, read_prompts


def names(*texts: str) -> list[str]:
    return [video.name for video in plan_videos([Prompt(text) for text in texts], 1, 0)]


@pytest.mark.parametrize(
    "texts",
    [
        ("A dog", "a dog", "A DOG"),
        ("caf\u00e9", "cafe\u0301"),
        ("a dog", "a dog"),
        ("000001", "a/b", "c:d", "000002"),
        ("a/b", "000000", "000000"),
        ("a dog-0", "a dog"),
    ],
)
def test_no_two_prompts_share_a_file(texts: tuple[str, ...]) -> None:
    made = names(*texts)
    assert len({name_identity(name) for name in made}) == len(texts)
    assert made[0] == f"{texts[0]}-0.mp4" or "/" in texts[0]


def test_the_official_prompts_are_their_names(shared: Path) -> None:
    (listing,) = (shared / "data").rglob("*full_info*.json")
    texts = list(dict.fromkeys(entry["prompt_en"] for entry in json.loads(listing.read_text())))
    numbered = [text for text, name in zip(texts, names(*texts), strict=True) if name != f"{text}-0.mp4"]
    assert numbered == ["A fantasy landscape"], "another prompt is the same in small letters"


def test_only_line_feeds_and_carriage_returns_end_a_prompt(tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_bytes("\ufeffa\x0bdog\r\na\u2028cat\n\n  a\x85bird \n".encode())
    assert [prompt.text for prompt in read_prompts(str(file))] == ["a\x0bdog", "a\u2028cat", "a\x85bird"]
