"""Deciding which clips are kept: a pure function of what was recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from framemill.data_filters.ledger.clip_table import ClipTable, MeasuredSources, in_order
from framemill.data_filters.ledger.parts import Part
from framemill.data_filters.select.bounds import Rule, Stage, lower_bound, matching_rule, set_tags, upper_bound

SLACK_S = 1e-3
"""Clip times are sums of rounded steps: a clip that misses the minimum by less has reached it."""
NO_CLIP = "no clip in it"
UNMEASURED = "could not be measured"
NOT_JOINED = "is not in join.scores"
STATES = ("kept", "filtered", "failed", "duplicate")
Row = dict[str, Any]


@dataclass(frozen=True)
class Check:
    """One thing that clips are held to."""

    score: str
    """Empty: their length."""
    reason: str
    """Names the check and its bound, not the value: that is in the clip's own column, and reasons can be counted."""
    fails: np.ndarray
    """Of every clip, whatever else it fails; but none lacks a score that was not measured since it failed before."""
    state: str = "filtered"
    """What a clip that fails it is."""
    bound: float | None = None
    """What it is held to, seconds or the score's unit."""
    end: str = ""
    """Which end of a band that is, "min" or "max", and of which set of sources."""


def all_checks(parts: dict[str, Part], clips: ClipTable, min_seconds: float, stages: list[Stage]) -> Iterator[Check]:
    """The checks in the order in which they count: the first that a clip does not pass is why it is not kept.

    A quantile is one of the clips of its rule that passed all stages before: those that have the score however the
    others' bounds were when it was measured.
    """
    short = clips.column("end_s") - clips.column("start_s") < min_seconds - SLACK_S
    yield Check("", f"shorter than {min_seconds:g} s", short, bound=min_seconds)
    standing = ~short
    for stage in stages:
        rejected = np.zeros(len(clips), bool)
        for score, rules in stage.items():
            values = np.array(clips.column(score), float)
            taken = rule_index_per_clip(parts, clips, rules)
            for i, rule in enumerate(rules):
                for check in rule_checks(score, rule, values, taken == i, standing):
                    rejected |= check.fails
                    yield check
        standing &= ~rejected


def rule_checks(score: str, rule: Rule, values: np.ndarray, its: np.ndarray, standing: np.ndarray) -> Iterator[Check]:
    """`its`: the clips that the rule is for; `standing`: those that stages before it left."""
    measured = np.isfinite(values)
    among = values[its & standing & measured]
    of_set = f" of {rule.name}" if rule.name else ""
    yield Check(score, f"{score} {NOT_JOINED if rule.joined else UNMEASURED}", its & standing & ~measured, "failed")
    with np.errstate(invalid="ignore"):
        if low := lower_bound(rule, among):
            yield Check(
                score, low.says(score, "below"), its & (values < low.value), bound=low.value, end="min" + of_set
            )
        if high := upper_bound(rule, among):
            yield Check(
                score, high.says(score, "above"), its & (values > high.value), bound=high.value, end="max" + of_set
            )


def rule_index_per_clip(parts: dict[str, Part], clips: ClipTable, rules: list[Rule]) -> np.ndarray:
    """For each clip the place of the rule that takes its source, -1: none."""
    if not any(rule.name for rule in rules):
        return np.zeros(len(clips), int)
    whose = pc.dictionary_encode(clips.table["path"].combine_chunks())
    places = [matching_rule(rules, path, set_tags(parts[path].provenance)) for path in whose.dictionary.to_pylist()]
    return np.array(places, int)[whose.indices.to_numpy()]


def build_tables(measured: MeasuredSources, min_seconds: float, stages: list[Stage]) -> tuple[list[Row], ClipTable]:
    """Both ledger tables, sources by path and clips by key, each clip with its verdict.

    A source whose content another already brought is a duplicate and brings no clips of its own.
    """
    found = measured.found()
    parts = sorted(measured.parts, key=lambda part: part.source.path)
    first = originals(parts, found)
    copies: list[str] = []
    sources: list[Row] = []
    for part in parts:
        path = part.source.path
        row = {"path": path, "source_id": part.source_id, "provenance": part.provenance, **part.facts}
        original = first.get(part.source_id or "", path)
        if original != path:
            sources.append({**row, "state": "duplicate", "reason": f"the same content as {original}", "clips": 0})
            copies.append(path)
            continue
        ended = "filtered" if part.screened else "failed" if part.reason else "ok"
        sources.append({**row, "state": ended, "reason": part.reason, "clips": found.get(path, 0)})
    table = measured.clips
    if any(path in found for path in copies):
        table = table.filter(pc.invert(pc.is_in(table["path"], pa.array(copies, pa.string()))))
    clips = ClipTable(in_order(table, "key"))
    if len(clips):
        assign_states({part.source.path: part for part in parts}, clips, min_seconds, stages)
    else:
        clips.columns |= {name: [] for name in ("state", "reason", "caption", "provenance")}
    return sources, clips


def originals(parts: list[Part], found: dict[str, int]) -> dict[str, str]:
    """For each content, the path that stands for it: the first of those with clips, or screened; parts by path."""
    first: dict[str, str] = {}
    for part in parts:
        if part.source_id is not None and (part.source.path in found or part.screened):
            first.setdefault(part.source_id, part.source.path)
    return first


def assign_states(parts: dict[str, Part], clips: ClipTable, min_seconds: float, stages: list[Stage]) -> None:
    """Gives each clip its `state`, its `reason`, and its source's `provenance`."""
    state, reason = np.full(len(clips), "kept", object), np.full(len(clips), None, object)
    unscored = np.full(len(clips), None, object)
    if clips.has("unscored"):
        unscored[:] = clips.column("unscored")
    told = unscored.astype(bool)
    left = np.ones(len(clips), bool)
    for check in all_checks(parts, clips, min_seconds, stages):
        now = left & check.fails
        state[now], reason[now] = check.state, check.reason
        if check.state == "failed":
            reason[now & told] = unscored[now & told]
        left &= ~check.fails
    state[left & told], reason[left & told] = "failed", unscored[left & told]
    clips.columns |= {"state": state.tolist(), "reason": reason.tolist()}
    clips.put("provenance", [parts[path].provenance for path in clips.column("path")])


def finish_sources(sources: list[Row], clips: ClipTable) -> None:
    """Gives a source none of whose clips is kept the state this makes it, once the last clip's state is known."""
    kept: set[str] = set()
    told: dict[str, dict[str, set[str]]] = {}
    columns = (clips.column(name) for name in ("path", "state", "reason"))
    for path, state, reason in zip(*columns, strict=True):
        if state == "kept":
            kept.add(path)
        else:
            told.setdefault(path, {}).setdefault(state, set()).add(countable_reason(state, reason))
    for source in sources:
        if source["state"] != "ok" or source["path"] in kept:
            continue
        reasons = told.get(source["path"], {})
        source["state"] = "failed" if "failed" in reasons else "filtered"
        said = reasons.get("failed") or set().union(*reasons.values())
        source["reason"] = "; ".join(sorted(said)) or NO_CLIP


def countable_reason(state: str, reason: str) -> str:
    """A reason as it is counted: which clip a duplicate repeats is its own affair."""
    return reason.partition(" of ")[0] if state == "duplicate" else reason


def check_conservation(sources: list[Row], clips: ClipTable) -> None:
    """Every clip found is there once, in one known state.

    Raises:
        AssertionError: it is not. Nothing may be committed then.
    """
    found = sum(source["clips"] for source in sources)
    states: Counter[str] = Counter(clips.column("state"))
    counted = sum(states[state] for state in STATES)
    distinct = pc.count_distinct(clips.table["key"]).as_py()
    if not found == counted == len(clips) == distinct:
        raise AssertionError(f"{found} clips found, {counted} of {len(clips)} in a known state, {distinct} distinct")
