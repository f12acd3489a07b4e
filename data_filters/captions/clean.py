"""Cleaning the answer of a caption model: what is not the caption is removed."""

from __future__ import annotations

import json
import re

from framemill.platform.text import clean_text

_THOUGHT = re.compile(r"<(think|thinking|reasoning)>.*?(?:</\1>|\Z)", re.IGNORECASE | re.DOTALL)
"""A model's reasoning; without an end, the answer was cut off inside."""
_THOUGHT_END = re.compile(r"\A.*</(?:think|thinking|reasoning)>", re.IGNORECASE | re.DOTALL)
"""Reasoning whose beginning is in the prompt, as some chat templates have it."""
_MARKER = re.compile(
    r"<\|[^<>|]*\|>|\[/?INST\]|<</?SYS>>|</?s>|<(?:start|end)_of_turn>(?:\s*(?:model|user)\b)?|<(?:bos|eos|pad|unk)>"
)
"""Markers of chat templates."""
_FENCE = re.compile(r"```[\w-]*\s*\n?(.*?)(?:```|\Z)", re.DOTALL)
"""A fenced block of Markdown."""
_ROLE = re.compile(r"\A\s*(?:assistant|ai|model|answer|response)\s*(?::|\n)\s*", re.IGNORECASE)
_COURTESY = re.compile(
    r"\A\W*(?:(?:sure|certainly|of course|okay|ok|absolutely|great|got it)\b(?:\s+thing)?[^\w\"'*]+)?"
    r"(?:here(?:'s|\u2019s| is| are)\b[^:\n]{0,120}:|(?:the |a )?(?:video |detailed |short )*(?:caption|description)"
    r"\s*\**\s*:)\**\s*",
    re.IGNORECASE,
)
"""An introduction, such as "Sure! Here is a caption for the video:" or "**Caption:**"."""
_INTERJECTION = re.compile(r"\A\s*(?:sure|certainly|of course|absolutely)\b(?:\s+thing)?\s*[!.,:]\s+", re.IGNORECASE)
_KEYS = ("caption", "description", "text")
"""Keys of the caption in an answer that is a JSON object."""
_QUOTES = {'"': '"', "\u201c": "\u201d", "'": "'"}


def clean_answer(text: str) -> str:
    """Returns the caption in a model's answer on one line; empty if the answer has none.

    Removed are reasoning, markers of chat templates, code fences, introductions, and quotation marks around the whole.
    """
    text = _MARKER.sub("\n", _THOUGHT_END.sub("", _THOUGHT.sub("", text)))
    text = _COURTESY.sub("", _ROLE.sub("", text))
    if fenced := _FENCE.search(text):
        text = fenced[1]
    text = _caption_of_object(text) or text
    text = _INTERJECTION.sub("", _COURTESY.sub("", text)).replace("**", "")
    text = clean_text(text)
    if len(text) > 1 and _QUOTES.get(text[0]) == text[-1] and text[0] not in text[1:-1]:
        text = text[1:-1].strip()
    return text


def _caption_of_object(text: str) -> str | None:
    """Returns the caption of an answer that is a JSON object; None for any other answer."""
    if not text.strip().startswith("{"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return next((value[key] for key in _KEYS if isinstance(value.get(key), str)), None)
