"""The states of clips and sources: a pure function of the measurements that builds both ledger tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from framemill.data_filters.ledger.clip_table import ClipTable, in_order
from framemill.data_filters.ledger.measured import MeasuredSources
from framemill.data_filters.ledger.parts import Part
from framemill.data_filters.ledger.reasons import Cause, Reason, reasons_from_structs
from framemill.data_filters.ledger.source_row import SourceRow
from framemill.data_filters.select.bounds import Stage
from framemill.data_filters.select.checks import Provenances, all_checks


def build_tables(
    measured: MeasuredSources, min_seconds: float, stages: Sequence[Stage]
) -> tuple[list[SourceRow], ClipTable]:
    """Returns both ledger tables, sources by path and clips by key, with the state and reason of every clip.

    A source with the same bytes as another is a duplicate and has no clips.

    Args:
        measured: all sources and their clips.
        min_seconds: least length of a clip.
        stages: the rules, in the order in which their scores become available.
    """
    counts = measured.clip_counts()
    parts = sorted(measured.parts, key=lambda part: part.source.path)
    originals = _originals(parts, counts)
    duplicates: list[str] = []
    sources: list[SourceRow] = []
    for part in parts:
        path = part.source.path
        original = originals.get(part.source_id or "", path)
        state = "filtered" if part.prefiltered else "failed" if part.reason else "ok"
        reason, count = part.reason, counts.get(path, 0)
        if original != path:
            duplicates.append(path)
            state, reason, count = "duplicate", Reason(Cause.SAME_CONTENT, other=original), 0
        sources.append(SourceRow(path, part.source_id, state, reason, count, part.provenance, part.facts))
    table = measured.clips
    if any(path in counts for path in duplicates):
        table = table.filter(pc.invert(pc.is_in(table["path"], pa.array(duplicates, pa.string()))))
    clips = ClipTable(in_order(table, "key"))
    _assign_states({part.source.path: part.provenance for part in parts}, clips, min_seconds, stages)
    return sources, clips


def finish_sources(sources: Sequence[SourceRow], clips: ClipTable) -> list[SourceRow]:
    """Returns the sources with their final states: a source without a kept clip becomes failed or filtered.

    The states of all clips must be final.
    """
    kept: set[str] = set()
    rejected: dict[str, dict[str, set[str]]] = {}
    columns = (clips.column(name) for name in ("path", "state", "reason"))
    for path, state, reason in zip(*columns, strict=True):
        if state == "kept":
            kept.add(path)
        else:
            rejected.setdefault(path, {}).setdefault(state, set()).add(reason.countable)
    return [
        _without_kept_clip(source, rejected.get(source.path, {}))
        if source.state == "ok" and source.path not in kept
        else source
        for source in sources
    ]


def _without_kept_clip(source: SourceRow, rejected: Mapping[str, set[str]]) -> SourceRow:
    """Returns the row of a source that has no kept clip.

    Args:
        source: the row so far.
        rejected: the reasons of its clips as sentences, by state.
    """
    state = "failed" if "failed" in rejected else "filtered"
    sentences = rejected.get("failed") or set().union(*rejected.values())
    reason = Reason(Cause.NONE_KEPT, detail="; ".join(sorted(sentences))) if sentences else Reason(Cause.NO_CLIP)
    return replace(source, state=state, reason=reason)


def _originals(parts: Sequence[Part], counts: Mapping[str, int]) -> dict[str, str]:
    """Returns the path of the original for each content hash: the first source that has clips or was pre-filtered.

    Args:
        parts: sorted by path.
        counts: number of clips by path.
    """
    first: dict[str, str] = {}
    for part in parts:
        if part.source_id is not None and (part.source.path in counts or part.prefiltered):
            first.setdefault(part.source_id, part.source.path)
    return first


def _assign_states(provenances: Provenances, clips: ClipTable, min_seconds: float, stages: Sequence[Stage]) -> None:
    """Writes columns `state`, `reason`, `caption` (null) and `provenance`.

    Column `unscored` has the reason why a network could not score a clip. It becomes the clip's reason unless an
    earlier check rejects the clip.
    """
    state, reason = np.full(len(clips), "kept", object), np.full(len(clips), None, object)
    unscored = np.full(len(clips), None, object)
    if clips.has("unscored"):
        unscored[:] = reasons_from_structs(clips.table["unscored"])
    failed = unscored.astype(bool)
    passed = np.ones(len(clips), bool)
    for check in all_checks(provenances, clips, min_seconds, stages) if len(clips) else ():
        first = passed & check.rejects
        state[first], reason[first] = check.state, check.reason
        if check.state == "failed":
            reason[first & failed] = unscored[first & failed]
        passed &= ~check.rejects
    state[passed & failed], reason[passed & failed] = "failed", unscored[passed & failed]
    clips.put("state", state.tolist())
    clips.put("reason", reason.tolist())
    clips.put("provenance", [provenances[path] for path in clips.column("path")])
    if not len(clips):
        clips.put("caption", [])
