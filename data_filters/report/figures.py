"""What a curation came to, as figures: what each step dropped, and how each score is spread. Pure functions of rows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from framemill.data_filters.config import CurateConfig
from framemill.data_filters.ledger.clip_table import ClipTable
from framemill.data_filters.ledger.parts import CLIP_FIELDS, VERDICT_FIELDS, Part
from framemill.data_filters.select.states import NO_CLIP, all_checks

BINS = 40
REASONS = 1000
"""Reasons that a step names, in their order: those of near duplicates name another clip each."""
TAIL = 3.0
"""Where all values span so many times what the middle 98 % span, the axis shows the middle, and its ends the rest."""
NO_SCORE = {name for name, _ in [*CLIP_FIELDS, *VERDICT_FIELDS]} | {"captions", "provenance", "unscored"}
PARTICULAR = re.compile(r": | of ")
"""What follows in a reason belongs to the one clip: which one it repeats, what was wrong with its caption."""
Row = Mapping[str, Any]
Limits = dict[str, float]
"""Bounds by what they are: "min", "max", "min of <set>", "max of <set>"."""


@dataclass(frozen=True)
class Step:
    """One step of the funnel: what it dropped of what reached it."""

    name: str
    state: str
    """That of what it dropped: filtered, duplicate or failed."""
    dropped: int
    seconds: float
    left: int
    reasons: dict[str, int]


@dataclass(frozen=True)
class Histogram:
    """How a score is spread over the clips that have it, in bins between `edges`."""

    name: str
    edges: list[float]
    kept: list[int]
    dropped: list[int]
    """By a limit on this score."""
    others: list[int]
    """Dropped by something else."""
    limits: Limits
    """The bounds it was selected by."""
    median: float
    below: int
    """How many lie under the first edge, and are counted in the first bin."""
    above: int
    missing: int
    """Clips without the score."""


@dataclass(frozen=True)
class Figures:
    sources: list[Step]
    clips: list[Step]
    histograms: list[Histogram]


def figures_of(
    config: CurateConfig, sources: Sequence[Row], clips: ClipTable, ends: list[str], limits: dict[str, Limits]
) -> Figures:
    """The figures of both ledger tables; `ends`: where each clip ended, as `ends_of` gives it; `limits` by score."""
    scores = {
        name: values for name in score_names(config, clips.names()) if (values := numbers(clips, name)) is not None
    }
    ordered = sorted(scores, key=lambda name: name not in config.select.bands)
    where = np.array(ends, object)
    histograms = [histogram(name, limits.get(name, {}), scores[name], where) for name in ordered]
    steps = clip_steps(config, clips, ends, list(scores))
    return Figures(source_steps(sources), steps, [one for one in histograms if one is not None])


def drop_steps(config: CurateConfig, clips: ClipTable) -> list[str]:
    """For each clip "kept", or the step that dropped it: a score's name, or its reason without what is particular."""
    scores = set(score_names(config, clips.names()))
    known: dict[tuple[str, str | None], str] = {}
    ends = []
    for verdict in zip(clips.column("state"), clips.column("reason"), strict=True):
        if verdict not in known:
            known[verdict] = drop_step(*verdict, scores)
        ends.append(known[verdict])
    return ends


def drop_step(state: str, reason: str | None, scores: set[str]) -> str:
    if state in ("kept", "failed"):
        return state
    first = (reason or state).split(" ", 1)[0]
    return first if first in scores else PARTICULAR.split(reason or state, maxsplit=1)[0]


def numbers(clips: ClipTable, name: str) -> np.ndarray | None:
    """A column as float64 with NaN for null; None where it holds anything but numbers."""
    values = clips.column(name)
    if isinstance(values, np.ndarray):
        return values.astype(float)
    if not all(value is None or isinstance(value, int | float) for value in values):
        return None
    return np.array([np.nan if value is None else value for value in values], float)


def score_names(config: CurateConfig, there: list[str]) -> list[str]:
    """Of a table's columns those that may hold a score: the measured ones in their order, then the others."""
    first = [name for name in config.scores if name in there]
    return first + sorted(name for name in there if name not in NO_SCORE and name not in first)


def limits_taken(config: CurateConfig, parts: Sequence[Part], clips: ClipTable) -> dict[str, Limits]:
    """The bounds that each score was held to, quantiles of the clips and those of sets of sources among them."""
    if not len(clips):
        return {}
    whose = {part.source.path: part for part in parts}
    found: dict[str, Limits] = {}
    for check in all_checks(whose, clips, config.clip.min_seconds, config.rules_by_stage(config.model_specs)):
        if check.score and check.bound is not None:
            found.setdefault(check.score, {})[check.end] = check.bound
    return found


def limits_of(config: CurateConfig, name: str) -> Limits:
    """The ends of the band of all sources, as far as they are values."""
    band = config.select.bands.get(name)
    ends = {"min": band.min, "max": band.max} if band else {}
    return {end: value for end, value in ends.items() if value is not None}


def clip_steps(config: CurateConfig, clips: ClipTable, ends: list[str], scores: list[str]) -> list[Step]:
    """What dropped clips, in the order in which it is asked: length, scores, likeness, captions, and what failed.

    A band that dropped nothing is a step too.
    """
    asked = [*config.select.bands, *scores]
    gone: dict[str, list[int]] = {name: [] for name in config.select.bands}
    for i, end in enumerate(ends):
        if end != "kept":
            gone.setdefault(end, []).append(i)

    def rank(name: str) -> tuple[int, int, str]:
        if name in asked:
            return 1, asked.index(name), name
        late = {"duplicate": 2, "filtered": 3, "failed": 5}[clips[gone[name][0]]["state"]]
        return 0 if name.startswith("shorter") else 4 if name == "caption" else late, 0, name

    return chain(len(clips), [(name, [clips[i] for i in gone[name]]) for name in sorted(gone, key=rank)])


def source_steps(sources: Sequence[Row]) -> list[Step]:
    """What came of sources that brought no clips."""
    gone: dict[str, list[Row]] = {}
    for source in sources:
        if not source["clips"]:
            gone.setdefault(why_no_clips(source), []).append(source)
    order = ("left out", "failed", "duplicate", "screened", NO_CLIP)
    return chain(len(sources), [(name, gone[name]) for name in order if name in gone])


def why_no_clips(source: Row) -> str:
    if source["state"] in ("failed", "duplicate"):
        return str(source["state"])
    if source["source_id"] is None:
        return "left out"
    return NO_CLIP if source["reason"] == NO_CLIP else "screened"


def chain(whole: int, gone: Sequence[tuple[str, Sequence[Row]]]) -> list[Step]:
    steps = []
    for name, rows in gone:
        whole -= len(rows)
        seconds = sum(row["end_s"] - row["start_s"] for row in rows if "end_s" in row)
        reasons = Counter(row["reason"] or row["state"] for row in rows)
        state = rows[0]["state"] if rows else "filtered"
        steps.append(Step(name, state, len(rows), round(seconds, 3), whole, dict(sorted(reasons.items())[:REASONS])))
    return steps


def histogram(name: str, limits: Limits, values: np.ndarray, ends: np.ndarray) -> Histogram | None:
    """How one score is spread; None where no clip has it."""
    known = np.isfinite(values)
    if not known.any():
        return None
    kept, mine = ends == "kept", ends == name
    low, high = axis(values[known], list(limits.values()))
    edges = np.linspace(low, high, BINS + 1)

    def count(which: np.ndarray) -> list[int]:
        inside = np.clip(values[known & which], low, high)
        return [int(n) for n in np.histogram(inside, edges)[0]]

    return Histogram(
        name,
        [round(float(edge), 9) for edge in edges],
        count(kept),
        count(mine),
        count(~kept & ~mine),
        limits,
        round(float(np.median(values[known])), 6),
        int((values[known] < low).sum()),
        int((values[known] > high).sum()),
        int((~known).sum()),
    )


def axis(values: np.ndarray, limits: list[float]) -> tuple[float, float]:
    """From where to where a score is drawn: without lone values far out, and with the limits that lie near."""
    low, high = float(values.min()), float(values.max())
    first, last = (float(value) for value in np.percentile(values, (1, 99)))
    if last > first and high - low > TAIL * (last - first):
        low, high = first, last
    span = high - low or max(abs(high), 1.0) / 10
    near = [limit for limit in limits if low - span <= limit <= high + span]
    low, high = min([low, *near]), max([high, *near])
    return (low, high) if high > low else (low - span / 2, high + span / 2)
