"""The bounds that a clip's scores are held to: bands, of all sources or of a set of them, as values or quantiles."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from framemill.data_filters.select.config import Band, SelectConfig

DECIMALS = 9
"""A quantile times a number of clips is rounded to so many: 0.29 * 100 is 28.999999999999996."""


@dataclass(frozen=True)
class Rule:
    """A band, and the sources that it is for."""

    band: Band
    name: str = ""
    """Of its set; empty: for all sources that no set before it takes."""
    paths: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    joined: bool = False
    """Whether its score came from elsewhere."""

    def takes(self, path: str, tags: list[str]) -> bool:
        if not self.name:
            return True
        return any(fnmatchcase(path, glob) for glob in self.paths) or any(
            fnmatchcase(tag, glob) for tag in tags for glob in self.tags
        )


Stage = dict[str, list[Rule]]
"""By score, the rules for it in the order in which a source tries them. A stage is what gets known together."""


def stage_rules(select: SelectConfig, scores: Iterable[str], joined: Iterable[str] = ()) -> Stage:
    """The rules for some scores. Where a source is of several sets, the first by name that has a band counts."""
    stage: Stage = {}
    for score in scores:
        rules = [
            Rule(one.bands[score], name, one.paths, one.tags, score in joined)
            for name, one in sorted(select.sets.items())
            if score in one.bands
        ]
        if score in select.bands:
            rules.append(Rule(select.bands[score], joined=score in joined))
        stage[score] = rules
    return stage


def banded(select: SelectConfig) -> list[str]:
    """The scores that have a band somewhere, in the order in which they are looked at."""
    sets = (score for _, one in sorted(select.sets.items()) for score in one.bands)
    return list(dict.fromkeys([*select.bands, *sets]))


def matching_rule(rules: list[Rule], path: str, tags: list[str]) -> int:
    """The place of the first rule that takes a source; -1 where none does."""
    return next((i for i, rule in enumerate(rules) if rule.takes(path, tags)), -1)


@dataclass(frozen=True)
class Bound:
    value: float
    told: str
    """What set it, in words; empty for a plain value for all sources."""

    def says(self, score: str, side: str) -> str:
        """For example "motion below 1.2 (20 % quantile of set anime)"."""
        return f"{score} {side} {self.value:g}" + (f" ({self.told})" if self.told else "")


def lower_bound(rule: Rule, values: np.ndarray) -> Bound | None:
    """The least score that is kept, of a rule for clips with these scores: the stricter of value and quantile.

    The quantile q drops the lowest floor(q * n) of n clips, but none that scores as the first that is kept.
    """
    return strictest(rule, rule.band.min, rule.band.min_quantile, quantile(values, rule.band.min_quantile), 1.0)


def upper_bound(rule: Rule, values: np.ndarray) -> Bound | None:
    """The greatest score that is kept; the quantile q drops the highest floor((1 - q) * n) in the same way."""
    q = rule.band.max_quantile
    least = quantile(-values, None if q is None else 1.0 - q)
    return strictest(rule, rule.band.max, q, None if least is None else -least, -1.0)


def strictest(rule: Rule, value: float | None, q: float | None, at: float | None, sign: float) -> Bound | None:
    of_set = f"set {rule.name}" if rule.name else ""
    found: list[Bound] = []
    if value is not None:
        found.append(Bound(value, of_set))
    if q is not None and at is not None:
        found.append(Bound(at, f"{100 * q:g} % quantile" + (f" of {of_set}" if of_set else "")))
    return max(found, key=lambda bound: sign * bound.value, default=None)


def quantile(values: np.ndarray, q: float | None) -> float | None:
    """The value with just floor(q * n) of n before it in order; None where there are none.

    No value lies between two others: a bound is a score that was measured.
    """
    if q is None or not len(values):
        return None
    at = min(len(values) - 1, math.floor(round(q * len(values), DECIMALS)))
    return float(np.partition(values, at)[at])


def set_tags(provenance: dict[str, Any]) -> list[str]:
    return list(provenance.get("tags") or [])
