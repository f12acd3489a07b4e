"""The checks of selection: which clips each bound rejects, as masks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc

from framemill.data_filters.ledger.clip_table import ClipTable
from framemill.data_filters.ledger.reasons import Cause, Reason
from framemill.data_filters.select.bounds import Rule, Stage, lower_bound, matching_rule, source_tags, upper_bound

SLACK_S = 1e-3
"""Tolerance of the check of length, seconds: clip times are sums of rounded steps."""
Provenances = Mapping[str, dict[str, Any]]
"""The provenance of each source by its path."""


@dataclass(frozen=True)
class Check:
    """One check of selection, with the clips that it rejects."""

    reason: Reason
    """The reason of every clip that the check rejects. It contains the bound and not the clip's value, so that equal
    reasons can be counted."""
    rejects: np.ndarray
    """bool (clips,): whether this check rejects the clip, even if an earlier check did. False if the score was not
    measured because an earlier stage had rejected the clip."""
    state: str = "filtered"
    """State of a rejected clip: "filtered" or "failed"."""
    side: str = ""
    """The bound that is checked: "min" or "max", with " of SET" for a set of sources; empty: another check."""


def all_checks(
    provenances: Provenances, clips: ClipTable, min_seconds: float, stages: Sequence[Stage]
) -> Iterator[Check]:
    """Yields the checks in order; the first check that rejects a clip gives its reason.

    A quantile is computed over the clips that its rule matches and that passed all earlier stages. Every ledger has the
    scores of these clips, whatever bounds were in force during measuring, so the same bounds give the same result from
    any ledger.
    """
    short = clips.column("end_s") - clips.column("start_s") < min_seconds - SLACK_S
    yield Check(Reason(Cause.TOO_SHORT, bound=min_seconds), short)
    passed = ~short
    for stage in stages:
        rejected = np.zeros(len(clips), bool)
        for score, rules in stage.items():
            values = np.array(clips.column(score), float)
            rule_indices = _rule_index_per_clip(provenances, clips, rules)
            for i, rule in enumerate(rules):
                for check in _rule_checks(score, rule, values, rule_indices == i, passed):
                    rejected |= check.rejects
                    yield check
        passed &= ~rejected


def _rule_checks(
    score: str, rule: Rule, values: np.ndarray, matches: np.ndarray, passed: np.ndarray
) -> Iterator[Check]:
    """Yields the checks of one rule: the score is measured, and is within the lower and upper bound.

    Args:
        score: name of the score.
        rule: a rule of the score.
        values: float (clips,), the scores; NaN if not measured.
        matches: bool (clips,), the clips that the rule applies to.
        passed: bool (clips,), the clips that passed all earlier stages.
    """
    measured = np.isfinite(values)
    sample = values[matches & passed & measured]
    of_set = f" of {rule.name}" if rule.name else ""
    missing = Reason(Cause.NOT_JOINED if rule.joined else Cause.UNMEASURED, score)
    yield Check(missing, matches & passed & ~measured, "failed")
    with np.errstate(invalid="ignore"):
        if low := lower_bound(rule, sample):
            yield Check(low.reason(Cause.BELOW, score), matches & (values < low.value), side="min" + of_set)
        if high := upper_bound(rule, sample):
            yield Check(high.reason(Cause.ABOVE, score), matches & (values > high.value), side="max" + of_set)


def _rule_index_per_clip(provenances: Provenances, clips: ClipTable, rules: Sequence[Rule]) -> np.ndarray:
    """Returns the index of the first rule that matches each clip's source, int (clips,); -1 if no rule does."""
    if not any(rule.name for rule in rules):
        return np.zeros(len(clips), int)
    paths = pc.dictionary_encode(clips.table["path"].combine_chunks())
    indices = [matching_rule(rules, path, source_tags(provenances[path])) for path in paths.dictionary.to_pylist()]
    return np.array(indices, int)[paths.indices.to_numpy()]
