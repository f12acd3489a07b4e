"""The choice of a clip's captions and main caption, from its texts and the recorded answers of caption models."""

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
    """A captioner's text for a clip, or the check that the text failed; both are None if there is no text."""

    text: str | None
    problem: str | None = None
    """The failed check, as `caption_problem` returns it."""


def first_accepted(answers: Sequence[Answer], settings: CaptionConfig) -> CaptionChoice:
    """Returns the text of the first answer that passes the checks, or the check that the very first answer failed."""
    problems: list[str] = []
    for answer in answers:
        problem = caption_problem(answer.text, answer.finish, settings.min_words, settings.max_words)
        if problem is None:
            return CaptionChoice(_one_line(answer.text))
        problems.append(problem)
    return CaptionChoice(None, problems[0] if problems else None)


def caption_choice(clip: ClipRow, captioner: str, answers: Answers, settings: CaptionConfig) -> CaptionChoice:
    """Returns a captioner's text for a clip, or the check that the text failed.

    The texts of `sidecar` are checked only with `check_sidecars`, and without a minimum length.

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
        # A caption that a person wrote may be short.
        problem = caption_problem(text, "stop", 0, settings.max_words)
        return CaptionChoice(None, problem) if problem else CaptionChoice(text)
    return CaptionChoice(text or None)


def needs_answer(
    clip: ClipRow, captioners: Sequence[str], model: str, answers: Answers, settings: CaptionConfig
) -> bool:
    """Returns whether a model captioner must still be asked about a clip.

    A model is asked until an answer passes the checks or `caption.answers` answers have failed them. A model of weight
    0 is asked only if no captioner before it has a text.

    Args:
        clip: a row of the clips table.
        captioners: names of captioners in order of preference.
        model: name of the model captioner.
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
    """Sets `captions` of a clip in order of preference, and the first of them as `caption`; or filters the clip.

    If no captioner has a text, the caption is empty. A clip is filtered if all its texts were rejected, or with
    `caption.rejected=filter` if any text was rejected before one was accepted.

    Args:
        clip: a row of the clips table.
        captioners: names of captioners in order of preference.
        answers: all recorded answers of model captioners.
        settings: the keys `caption.*`.

    Returns:
        The failed checks of the texts that were rejected before a text was accepted.
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
