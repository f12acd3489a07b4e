"""Which captions a clip has, and which is its main one: a pure function of what was written, measured and answered."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from framemill.data_filters.captions.base import Answer
from framemill.data_filters.captions.checks import caption_problem
from framemill.data_filters.captions.config import CaptionConfig
from framemill.data_filters.captions.registry import CAPTIONERS
from framemill.data_filters.ledger.reasons import Cause, Reason

Row = MutableMapping[str, Any]
Answers = dict[str, dict[str, list[Answer]]]
"""By captioner, then by the clip's key."""


def accepted(answers: list[Answer], settings: CaptionConfig) -> tuple[str | None, str | None]:
    """(text, None) of the first answer that passes the checks; else (None, what was wrong with the first of them)."""
    wrong: list[str] = []
    for answer in answers:
        reason = caption_problem(answer.text, answer.finish, settings.min_words, settings.max_words)
        if reason is None:
            return one_line(answer.text), None
        wrong.append(reason)
    # The first one is the model's likeliest answer: the others were drawn.
    return None, wrong[0] if wrong else None


def written(clip: Row, name: str, settings: CaptionConfig) -> tuple[str | None, str | None]:
    """The same of a captioner that reads the clip's row. A sidecar is somebody's own words: their length is free."""
    text = one_line(CAPTIONERS.load(name)(clip) or "")
    if text and name == "sidecar" and settings.check_sidecars:
        reason = caption_problem(text, "stop", 0, settings.max_words)
        return (None, reason) if reason else (text, None)
    return text or None, None


def to_ask(clip: Row, captioners: list[str], name: str, answers: Answers, settings: CaptionConfig) -> bool:
    """Whether a clip waits for an answer of the model `name`, once those before it in order have given theirs."""
    given = answers.get(name, {}).get(clip["key"], [])
    if len(given) >= settings.answers or accepted(given, settings)[0] is not None:
        return False
    before = captioners[: captioners.index(name)]
    return settings.weights.get(name, 0.0) > 0 or not any(
        caption_of(clip, other, answers, settings)[0] for other in before
    )


def caption_of(clip: Row, name: str, answers: Answers, settings: CaptionConfig) -> tuple[str | None, str | None]:
    """(text, None), (None, why it was rejected), or (None, None) where the captioner has nothing to say."""
    if CAPTIONERS[name].model:
        return accepted(answers.get(name, {}).get(clip["key"], []), settings)
    return written(clip, name, settings)


def settle_captions(clip: Row, captioners: list[str], answers: Answers, settings: CaptionConfig) -> list[str]:
    """Gives a clip its `captions` [{source, text, weight}] in order of preference and the first as `caption`, or
    filters it. Returns why captions were rejected before one was found, for the count.

    A clip of which nobody says anything has the empty caption; one whose captions were all rejected is filtered.
    """
    captions: list[Row] = []
    rejected: list[str] = []
    for name in captioners:
        text, reason = caption_of(clip, name, answers, settings)
        if text:
            captions.append({"source": name, "text": text, "weight": settings.weights.get(name, 0.0)})
        elif reason and not captions:
            rejected.append(reason)
    if rejected and (not captions or settings.rejected == "filter"):
        clip.update(state="filtered", reason=Reason(Cause.CAPTION, detail=rejected[0]), caption=None, captions=[])
    else:
        clip.update(caption=captions[0]["text"] if captions else "", captions=captions)
    return rejected


def one_line(text: str) -> str:
    return " ".join(text.split())
