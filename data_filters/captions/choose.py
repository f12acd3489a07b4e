"""The choice of a clip's captions and main caption, from its texts and the recorded answers of caption models."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from framemill.data_filters.captions.base import Answer
from framemill.data_filters.captions.checks import caption_problem
from framemill.data_filters.captions.clean import clean_answer
from framemill.data_filters.captions.config import CaptionConfig
from framemill.data_filters.captions.registry import CAPTIONERS
from framemill.data_filters.ledger.clip_table import ClipRow
from framemill.data_filters.ledger.reasons import Cause, Reason
from framemill.data_filters.sources.sidecars import CAPTION_SEPARATOR
from framemill.platform.text import clean_text

Answers = Mapping[str, Mapping[str, Sequence[Answer]]]
"""Recorded answers by captioner, then by the clip's key."""


class CaptionChoice(NamedTuple):
    """A captioner's text for a clip, or the check that the text failed; both are None if there is no text.

    Several texts of a sidecar are joined by CAPTION_SEPARATOR.
    """

    text: str | None
    problem: str | None = None
    """The failed check, as `caption_problem` returns it."""


def first_accepted(answers: Sequence[Answer], settings: CaptionConfig) -> CaptionChoice:
    """Returns the text of the first answer that passes the checks, or the check that the very first answer failed."""
    problems: list[str] = []
    for answer in answers:
        text = clean_answer(answer.text)
        problem = caption_problem(text, answer.finish, settings.min_words, settings.max_words)
        if problem is None:
            return CaptionChoice(text)
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
    text = CAPTIONERS.load(captioner)(clip) or ""
    if captioner != "sidecar":
        return CaptionChoice(clean_text(text) or None)
    texts = [cleaned for part in text.split(CAPTION_SEPARATOR) if (cleaned := clean_text(part))]
    # A caption that a person wrote may be short.
    problems = [caption_problem(text, "stop", 0, settings.max_words) for text in texts if settings.check_sidecars]
    accepted = [text for text, problem in itertools.zip_longest(texts, problems) if problem is None]
    return CaptionChoice(CAPTION_SEPARATOR.join(accepted) or None, problems[0] if problems and not accepted else None)


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
            texts = text.split(CAPTION_SEPARATOR)
            weight = settings.weights.get(name, 0.0) / len(texts)
            captions += [{"source": name, "text": text, "weight": weight} for text in texts]
        elif problem and not captions:
            problems.append(problem)
    if problems and (not captions or settings.rejected == "filter"):
        clip.reject("filtered", Reason(Cause.CAPTION, detail=problems[0]))
        clip.caption, clip.captions = None, []
    else:
        clip.caption, clip.captions = captions[0]["text"] if captions else "", captions
    return problems
