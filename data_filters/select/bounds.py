"""Bounds on scores: bands for all sources or for a set of sources, as values or as quantiles."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from framemill.data_filters.ledger.reasons import Cause, Reason
from framemill.data_filters.select.config import Band, SelectConfig

_DECIMALS = 9
"""Decimals to which the product of a quantile and a number of clips is rounded: 0.29 * 100 is 28.999999999999996."""


@dataclass(frozen=True)
class Rule:
    """A band of one score, and the sources that the band applies to."""

    band: Band
    name: str = ""
    """Name of the set of sources; empty: all sources that no earlier rule matches."""
    paths: list[str] = field(default_factory=list)
    """Globs of paths in the set."""
    tags: list[str] = field(default_factory=list)
    """Globs of tags in the set."""
    joined: bool = False
    """Whether the score comes from `join.scores`."""

    def matches(self, path: str, tags: Sequence[str]) -> bool:
        """Returns whether the rule applies to a source."""
        if not self.name:
            return True
        return any(fnmatchcase(path, glob) for glob in self.paths) or any(
            fnmatchcase(tag, glob) for tag in tags for glob in self.tags
        )


Stage = dict[str, list[Rule]]
"""Rules by score; the first rule that matches a source applies. Stages are checked in order: the scores of the decode
pass, then those of each network."""


def stage_rules(select: SelectConfig, scores: Iterable[str], joined: Iterable[str] = ()) -> Stage:
    """Returns the rules of some scores.

    Rules of sets, in order of the sets' names, come before the rule for all sources.

    Args:
        select: bands and sets.
        scores: the scores of the stage, in the order in which they are checked.
        joined: the scores that come from `join.scores`.
    """
    stage: Stage = {}
    for score in scores:
        rules = [
            Rule(sources.bands[score], name, sources.paths, sources.tags, score in joined)
            for name, sources in sorted(select.sets.items())
            if score in sources.bands
        ]
        if score in select.bands:
            rules.append(Rule(select.bands[score], joined=score in joined))
        stage[score] = rules
    return stage


def scores_with_bands(select: SelectConfig) -> list[str]:
    """Returns the scores that have a band for all sources or for a set, in the order in which they are checked."""
    in_sets = (score for _, sources in sorted(select.sets.items()) for score in sources.bands)
    return list(dict.fromkeys([*select.bands, *in_sets]))


def matching_rule(rules: Sequence[Rule], path: str, tags: Sequence[str]) -> int:
    """Returns the index of the first rule that matches a source; -1 if none does."""
    return next((i for i, rule in enumerate(rules) if rule.matches(path, tags)), -1)


@dataclass(frozen=True)
class Bound:
    """A lower or an upper bound of a score."""

    value: float
    origin: str
    """Origin of the bound, for people, e.g. "20 % quantile of set anime"; empty for a value for all sources."""

    def reason(self, cause: Cause, score: str) -> Reason:
        """Returns the reason of a clip outside the bound, e.g. "motion below 1.2 (20 % quantile of set anime)"."""
        return Reason(cause, score, self.value, detail=self.origin)


def lower_bound(rule: Rule, values: np.ndarray) -> Bound | None:
    """Returns the least score that is kept, the stricter of the rule's value and quantile; None without a lower bound.

    The quantile q rejects the lowest floor(q * n) of n clips, except clips with the same score as the first kept clip.

    Args:
        rule: the band.
        values: float (n,), scores of the clips over which the quantile is computed.
    """
    return _strictest(rule, rule.band.min, rule.band.min_quantile, quantile(values, rule.band.min_quantile), 1.0)


def upper_bound(rule: Rule, values: np.ndarray) -> Bound | None:
    """Returns the greatest score that is kept; None without an upper bound.

    The quantile q rejects the highest floor((1 - q) * n) of n clips, as in `lower_bound`.
    """
    q = rule.band.max_quantile
    mirrored = quantile(-values, None if q is None else 1.0 - q)
    return _strictest(rule, rule.band.max, q, None if mirrored is None else -mirrored, -1.0)


def _strictest(rule: Rule, value: float | None, q: float | None, at_q: float | None, sign: float) -> Bound | None:
    of_set = f"set {rule.name}" if rule.name else ""
    bounds: list[Bound] = []
    if value is not None:
        bounds.append(Bound(value, of_set))
    if q is not None and at_q is not None:
        bounds.append(Bound(at_q, f"{100 * q:g} % quantile" + (f" of {of_set}" if of_set else "")))
    return max(bounds, key=lambda bound: sign * bound.value, default=None)


def quantile(values: np.ndarray, q: float | None) -> float | None:
    """Returns the value at index floor(q * n) in ascending order; None if `q` is None or there are no values.

    It is not interpolated, so that a bound is always a measured score.
    """
    if q is None or not len(values):
        return None
    index = min(len(values) - 1, math.floor(round(q * len(values), _DECIMALS)))
    return float(np.partition(values, index)[index])


def source_tags(provenance: dict[str, Any]) -> list[str]:
    """Returns the tags of a source."""
    return list(provenance.get("tags") or [])
