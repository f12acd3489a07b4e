"""Deciding which clips are kept: a pure function of what was recorded."""

from __future__ import annotations

import math
from typing import Any

from framemill.data_filters.config import Band
from framemill.data_filters.ledger import Part
from framemill.data_filters.summary import counted

SLACK_S = 1e-3
"""Clip times are sums of rounded steps: a clip that misses the minimum by less has reached it."""
NO_CLIP = "no clip in it"
Row = dict[str, Any]


def verdict(clip: Row, min_seconds: float, bands: dict[str, Band]) -> tuple[str, str | None]:
    """(state, reason) of a clip: "kept", "filtered" by the first test it does not pass, or "failed" without a score.

    A reason names the test, not the value: the value is in the clip's own column, and reasons can be counted.
    """
    if clip["end_s"] - clip["start_s"] < min_seconds - SLACK_S:
        return "filtered", f"shorter than {min_seconds:g} s"
    for name, band in bands.items():
        score = clip[name]
        if score is None or not math.isfinite(score):
            return "failed", clip.get("unscored") or f"{name} could not be measured"
        if band.min is not None and score < band.min:
            return "filtered", f"{name} below {band.min:g}"
        if band.max is not None and score > band.max:
            return "filtered", f"{name} above {band.max:g}"
    if clip.get("unscored"):
        return "failed", clip["unscored"]
    return "kept", None


def originals(parts: list[Part]) -> dict[str, str]:
    """For each content, the path that stands for it: the first of those with clips, or screened, in the order
    of paths."""
    first: dict[str, str] = {}
    for part in sorted(parts, key=lambda part: part.source.path):
        if part.source_id is not None and (part.clips or part.screened):
            first.setdefault(part.source_id, part.source.path)
    return first


def settle(parts: list[Part], min_seconds: float, bands: dict[str, Band]) -> tuple[list[Row], list[Row]]:
    """The rows of both ledger tables, sources by path and clips by key, each clip with its verdict.

    A source whose content another already brought is a duplicate and brings no clips of its own.
    """
    first = originals(parts)
    sources: list[Row] = []
    clips: list[Row] = []
    for part in sorted(parts, key=lambda part: part.source.path):
        row = {"path": part.source.path, "source_id": part.source_id, "provenance": part.provenance, **part.facts}
        original = first.get(part.source_id or "", part.source.path)
        if original != part.source.path:
            sources.append({**row, "state": "duplicate", "reason": f"the same content as {original}", "clips": 0})
            continue
        for clip in part.clips:
            state, reason = verdict(clip, min_seconds, bands)
            clips.append({**clip, "state": state, "reason": reason, "provenance": part.provenance})
        ended = "filtered" if part.screened else "failed" if part.reason else "ok"
        sources.append({**row, "state": ended, "reason": part.reason, "clips": len(part.clips)})
    return sources, sorted(clips, key=lambda clip: clip["key"])


def conclude(sources: list[Row], clips: list[Row]) -> None:
    """Gives a source none of whose clips is kept the state this makes it, once the last clip's state is known."""
    states: dict[str, list[Row]] = {}
    for clip in clips:
        states.setdefault(clip["path"], []).append(clip)
    for source in sources:
        found = states.get(source["path"], [])
        if source["state"] != "ok" or any(clip["state"] == "kept" for clip in found):
            continue
        failed = [clip for clip in found if clip["state"] == "failed"]
        source["state"] = "failed" if failed else "filtered"
        source["reason"] = "; ".join(sorted({counted(clip) for clip in failed or found})) or NO_CLIP


def check_conservation(sources: list[Row], clips: list[Row]) -> None:
    """Every clip found is there once, in one known state.

    Raises:
        AssertionError: it is not. Nothing may be committed then.
    """
    found = sum(source["clips"] for source in sources)
    counted = sum(clip["state"] in ("kept", "filtered", "failed", "duplicate") for clip in clips)
    distinct = len({clip["key"] for clip in clips})
    if not found == counted == len(clips) == distinct:
        raise AssertionError(f"{found} clips found, {counted} of {len(clips)} in a known state, {distinct} distinct")
