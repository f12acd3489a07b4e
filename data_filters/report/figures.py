"""The figures of a curation: what each step rejected, and the distribution of each score. Pure functions of rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from framemill.data_filters.ledger.clip_table import ClipTable
from framemill.data_filters.ledger.reasons import Cause
from framemill.data_filters.ledger.schema import CLIP_FIELDS, STATE_FIELDS
from framemill.data_filters.ledger.source_row import SourceRow
from framemill.data_filters.report.drop_steps import KEPT, DropStep, DropSteps
from framemill.data_filters.report.histograms import Histogram, Limits, histogram
from framemill.data_filters.select.bounds import Stage
from framemill.data_filters.select.checks import Provenances, all_checks
from framemill.data_filters.select.config import Band

MAX_REASONS = 1000
"""Maximum number of distinct reasons listed per step: every near duplicate has a reason of its own."""
_NOT_SCORES = {name for name, _ in [*CLIP_FIELDS, *STATE_FIELDS]} | {"captions", "provenance", "unscored"}
"""Columns of clips that are not scores."""


@dataclass(frozen=True)
class Step:
    """One step of the funnel: the rows that it rejected among the rows that reached it."""

    name: str
    state: str
    """State of the rejected rows: "filtered", "duplicate" or "failed"."""
    dropped: int
    """Number of rows rejected."""
    seconds: float
    """Length of the rejected clips."""
    left: int
    """Number of rows that passed."""
    reasons: dict[str, int]
    """Number of rejected rows by reason."""
    of_score: bool = False
    """Whether the step is the bounds of the score `name`."""

    @property
    def id(self) -> str:
        """The identifier of the step on the page."""
        return DropStep(self.name, self.of_score).id


@dataclass(frozen=True)
class Figures:
    """All figures of one curation: the funnels of sources and clips, and the histograms of scores."""

    sources: list[Step]
    clips: list[Step]
    histograms: list[Histogram]


def curation_figures(
    sources: Sequence[SourceRow],
    clips: ClipTable,
    steps: DropSteps,
    *,
    scores: Sequence[str],
    bands: Sequence[str],
    limits: Mapping[str, Limits],
) -> Figures:
    """Returns the figures of a curation, computed from both ledger tables.

    Args:
        sources: rows of the sources table.
        clips: the clips table.
        steps: the step that rejected each clip.
        scores: names of the score columns, in order.
        bands: the scores with a band for all sources, in the order in which they are checked.
        limits: the bounds that were applied, by score.
    """
    values = {
        name: numbers for name in score_names(scores, clips.names()) if (numbers := _numbers(clips, name)) is not None
    }
    kept = steps.rejects(KEPT)
    histograms = [
        histogram(name, limits.get(name, {}), values[name], kept, steps.rejects(DropStep(name, of_score=True)))
        for name in sorted(values, key=lambda name: name not in bands)
    ]
    clip_steps = _clip_steps(clips, steps, bands, list(values))
    return Figures(_source_steps(sources), clip_steps, [figure for figure in histograms if figure is not None])


def score_names(scores: Sequence[str], columns: Sequence[str]) -> list[str]:
    """Returns the columns of a clips table that may be scores: measured scores in order, then others by name."""
    first = [name for name in scores if name in columns]
    return first + sorted(name for name in columns if name not in _NOT_SCORES and name not in first)


def applied_limits(
    provenances: Provenances, clips: ClipTable, min_seconds: float, stages: Sequence[Stage]
) -> dict[str, Limits]:
    """Returns the bounds that were applied to each score, including quantiles and bounds of sets of sources."""
    limits: dict[str, Limits] = {}
    for check in all_checks(provenances, clips, min_seconds, stages) if len(clips) else ():
        if check.reason.score and check.reason.bound is not None:
            limits.setdefault(check.reason.score, {})[check.side] = check.reason.bound
    return limits


def band_limits(bands: Mapping[str, Band], name: str) -> Limits:
    """Returns the bounds of a score's band for all sources that are values; quantiles are left out."""
    band = bands.get(name)
    ends = {"min": band.min, "max": band.max} if band else {}
    return {end: value for end, value in ends.items() if value is not None}


def _numbers(clips: ClipTable, name: str) -> np.ndarray | None:
    """Returns a column as float64 with NaN for null; None if a value is not a number."""
    values = clips.column(name)
    if isinstance(values, np.ndarray):
        return values.astype(float)
    if not all(value is None or isinstance(value, int | float) for value in values):
        return None
    return np.array([np.nan if value is None else value for value in values], float)


def _clip_steps(clips: ClipTable, steps: DropSteps, bands: Sequence[str], scores: Sequence[str]) -> list[Step]:
    """Returns the steps of the clips, in the order of the checks.

    The order is length, scores, duplicates, captions, failures. A band that rejected nothing is a step too.
    """
    order = [*bands, *scores]
    rows = {step: steps.rows(step) for step in steps.steps if step != KEPT}
    for name in bands:
        rows.setdefault(DropStep(name, of_score=True), [])
    states, reasons = clips.column("state"), clips.column("reason")
    begins, ends = (clips.column("start_s"), clips.column("end_s")) if len(clips) else (np.empty(0), np.empty(0))

    def rank(step: DropStep) -> tuple[int, int, str]:
        if step.of_score:
            return 1, order.index(step.name) if step.name in order else len(order), step.name
        first = rows[step][0]
        cause = reasons[first].cause if reasons[first] else None
        late = {"duplicate": 2, "filtered": 3, "failed": 5}[states[first]]
        return 0 if cause is Cause.TOO_SHORT else 4 if cause is Cause.CAPTION else late, 0, step.name

    left = len(clips)
    result = []
    for step in sorted(rows, key=rank):
        rejected = rows[step]
        left -= len(rejected)
        seconds = float(np.sum(ends[rejected] - begins[rejected])) if rejected else 0.0
        counts = _count_reasons(str(reasons[i] or states[i]) for i in rejected)
        state = states[rejected[0]] if rejected else "filtered"
        result.append(Step(step.name, state, len(rejected), round(seconds, 3), left, counts, step.of_score))
    return result


def _source_steps(sources: Sequence[SourceRow]) -> list[Step]:
    """Returns the steps at which sources without clips were rejected."""
    by_name: dict[str, list[SourceRow]] = {}
    for source in sources:
        if not source.clips:
            by_name.setdefault(_source_step(source), []).append(source)
    left = len(sources)
    result = []
    for name in ("left out", "failed", "duplicate", "screened", "no clip in it"):
        if rejected := by_name.get(name):
            left -= len(rejected)
            counts = _count_reasons(str(source.reason or source.state) for source in rejected)
            result.append(Step(name, rejected[0].state, len(rejected), 0, left, counts))
    return result


def _source_step(source: SourceRow) -> str:
    if source.state in ("failed", "duplicate"):
        return source.state
    causes = {Cause.EXCLUDED: "left out", Cause.NO_CLIP: "no clip in it"}
    return causes.get(source.reason.cause, "screened") if source.reason else "screened"


def _count_reasons(sentences: Iterable[str]) -> dict[str, int]:
    """Returns the number of occurrences of each sentence, for the first MAX_REASONS in alphabetical order."""
    return dict(sorted(Counter(sentences).items())[:MAX_REASONS])
