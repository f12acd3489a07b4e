"""Which captions a clip has, and which is its main caption: a pure function of texts, scores and recorded answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from framemill.data_filters.captions.base import Answer
from framemill.data_filters.captions.checks import caption_problem
from framemill.data_filters.captions.config import CaptionConfig
from framemill.data_filters.captions.registry import CAPTIONERS
from framemill.data_filters.ledger.clip_table import ClipRow
from framemill.data_filters.ledger.reasons import Cause, Reason

Answers = Mapping[str, Mapping[str, Sequence[Answer]]]
"""Recorded answers by captioner, then by the clip's key."""


class CaptionChoice(NamedTuple):
    """What a captioner has for a clip: a text, the reason why its text was rejected, or neither."""

    text: str | None
    problem: str | None = None
    """As `caption_problem` names it."""


def first_accepted(answers: Sequence[Answer], settings: CaptionConfig) -> CaptionChoice:
    """Returns the first answer that passes the checks; else the problem of the first answer, the model's likeliest."""
    problems: list[str] = []
    for answer in answers:
        problem = caption_problem(answer.text, answer.finish, settings.min_words, settings.max_words)
        if problem is None:
            return CaptionChoice(_one_line(answer.text))
        problems.append(problem)
    return CaptionChoice(None, problems[0] if problems else None)


def caption_choice(clip: ClipRow, captioner: str, answers: Answers, settings: CaptionConfig) -> CaptionChoice:
    """Returns what a captioner has for a clip.

    Args:
        clip: a row of the clips table.
        captioner: name in `CAPTIONERS`.
        answers: all recorded answers of model captioners.
        settings: the keys `caption.*`.
    """
    if CAPTIONERS[captioner].model:
        return first_accepted(answers.get(captioner, {}).get(clip.key, []), settings)
    text = _one_line(CAPTIONERS.load(captioner)(clip) or "")
    if text and captioner == "sidecar" and settings.check_sidecars:
        # Somebody's own words may be as few as they like.
        problem = caption_problem(text, "stop", 0, settings.max_words)
        return CaptionChoice(None, problem) if problem else CaptionChoice(text)
    return CaptionChoice(text or None)


def needs_answer(
    clip: ClipRow, captioners: Sequence[str], model: str, answers: Answers, settings: CaptionConfig
) -> bool:
    """Returns whether a model captioner is to be asked about a clip, once the captioners before it have answered.

    Args:
        clip: a row of the clips table.
        captioners: in order of preference.
        model: the model captioner.
        answers: all recorded answers of model captioners.
        settings: the keys `caption.*`.
    """
    recorded = answers.get(model, {}).get(clip.key, [])
    if len(recorded) >= settings.answers or first_accepted(recorded, settings).text is not None:
        return False
    before = captioners[: captioners.index(model)]
    return settings.weights.get(model, 0.0) > 0 or not any(
        caption_choice(clip, other, answers, settings).text for other in before
    )


def assign_captions(clip: ClipRow, captioners: Sequence[str], answers: Answers, settings: CaptionConfig) -> list[str]:
    """Sets a clip's `captions`, in order of preference, and the first as its `caption`; or filters the clip.

    A clip for which no captioner has a text gets the empty caption; a clip whose texts were all rejected is filtered.

    Args:
        clip: a row of the clips table.
        captioners: in order of preference.
        answers: all recorded answers of model captioners.
        settings: the keys `caption.*`.

    Returns:
        The problems of the captions that were rejected before one was accepted.
    """
    captions: list[dict[str, Any]] = []
    problems: list[str] = []
    for name in captioners:
        text, problem = caption_choice(clip, name, answers, settings)
        if text:
            captions.append({"source": name, "text": text, "weight": settings.weights.get(name, 0.0)})
        elif problem and not captions:
            problems.append(problem)
    if problems and (not captions or settings.rejected == "filter"):
        clip.reject("filtered", Reason(Cause.CAPTION, detail=problems[0]))
        clip.caption, clip.captions = None, []
    else:
        clip.caption, clip.captions = captions[0]["text"] if captions else "", captions
    return problems


def _one_line(text: str) -> str:
    return " ".join(text.split())
