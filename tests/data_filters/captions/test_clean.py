"""The caption in a model's answer, without what models write around it."""

from __future__ import annotations

import pytest

from framemill.data_filters.captions.clean import clean_answer

CAPTION = "A brown dog runs over the grass."


@pytest.mark.parametrize(
    "answer",
    [
        CAPTION,
        f"<think>The user wants a caption: a dog.</think>\n\n{CAPTION}",
        f"I see a dog.\n</think>{CAPTION}",
        f"```\n{CAPTION}\n```",
        f"```text\n{CAPTION}\n```",
        '```json\n{"caption": "' + CAPTION + '"}\n```',
        '{"description": "' + CAPTION + '"}',
        f"{CAPTION}<|im_end|>",
        f"<|im_start|>assistant\n{CAPTION}<|im_end|>",
        f"[/INST] {CAPTION}</s>",
        f"{CAPTION}<end_of_turn>",
        f"Assistant: {CAPTION}",
        f"Sure! Here is a caption for the video: {CAPTION}",
        f"Here's a detailed description of the video:\n\n{CAPTION}",
        f"Certainly! {CAPTION}",
        f"**Caption:** {CAPTION}",
        f"Caption: {CAPTION}",
        f'"{CAPTION}"',
        "  A brown dog\n runs over\tthe grass.\x00\ufeff ",
    ],
)
def test_the_caption_alone_is_left(answer: str) -> None:
    assert clean_answer(answer) == CAPTION


@pytest.mark.parametrize("answer", ["", "<think>The answer was cut off inside", "<|im_end|>", "\x00\ufeff \n"])
def test_an_answer_without_a_caption_is_empty(answer: str) -> None:
    assert clean_answer(answer) == ""


@pytest.mark.parametrize(
    "caption",
    [
        "Sure-footed goats climb a cliff.",
        "Here and there, birds sit on a wire.",
        'A man says "sure" and walks off.',
        "The caption on the sign is unreadable; a bus passes.",
        "'Tis a ship at sea, seen from the ship's mast.",
    ],
)
def test_an_ordinary_caption_is_left_as_it_is(caption: str) -> None:
    assert clean_answer(caption) == caption
