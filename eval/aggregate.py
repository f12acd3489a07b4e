"""From records to scores. Pure: the same records give the same bytes, in whatever order they were measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from framemill.eval.dimensions import dimension_class
from framemill.eval.measure import Record
from framemill.eval.scoring import vbench_totals
from framemill.eval.suites import Manifest
from framemill.platform import storage


@dataclass(frozen=True)
class DimensionScore:
    """A dimension's score in 0..1 and what it rests on: videos measured, failed and missing."""

    score: float
    videos: int
    failed: int
    missing: int

    @property
    def complete(self) -> bool:
        return not self.failed and not self.missing


@dataclass(frozen=True)
class Outcome:
    """All an evaluation says. `totals` is None unless all of VBench was measured, on all videos, as upstream does."""

    suite: str
    scores: dict[str, DimensionScore]
    not_measured: dict[str, str]
    notes: dict[str, str]
    totals: dict[str, float] | None
    videos: int
    failed: dict[str, str]
    missing: tuple[str, ...]
    unmatched: tuple[str, ...]


# Until the static filter runs, a flicker score of moving videos is a measure of motion, and not the benchmark's.
UNFILTERED = "measured without the static filter, so moving videos score low; not comparable with the leaderboard"


def reduce(
    suite: str,
    manifest: Manifest,
    records: Mapping[tuple[str, str], Record],
    measured: Sequence[str],
    not_measured: Mapping[str, str],
) -> Outcome:
    """Scores of the dimensions `measured`, from the manifest's videos in the manifest's order.

    `not_measured` names the others with the reason; a dimension without a single result joins them.
    """
    scores: dict[str, DimensionScore] = {}
    reasons = dict(not_measured)
    for name in measured:
        mine = [records[v.name, name] for v in manifest.videos if (v.name, name) in records]
        results = [r.result for r in mine if r.result is not None]
        missing = sum(name in dimensions for dimensions in manifest.missing.values())
        if results:
            score = dimension_class(name)().aggregate(results)
            scores[name] = DimensionScore(score, len(results), len(mine) - len(results), missing)
        else:
            reasons[name] = f"no video to measure: {len(mine)} failed, {missing} missing"
    notes = {"temporal_flickering": UNFILTERED} if "temporal_flickering" in scores else {}
    whole = suite == "vbench" and not reasons and not notes and all(score.complete for score in scores.values())
    return Outcome(
        suite=suite,
        scores=scores,
        not_measured=reasons,
        notes=notes,
        totals=vbench_totals({name: score.score for name, score in scores.items()}) if whole else None,
        videos=len(manifest.videos),
        failed={r.video: r.reason for r in _in_order(manifest, records) if r.state == "failed"},
        missing=tuple(manifest.missing),
        unmatched=manifest.unmatched,
    )


def official_results(
    manifest: Manifest, records: Mapping[tuple[str, str], Record], outcome: Outcome, videos: str
) -> dict[str, list[Any]]:
    """VBench's own result schema: {dimension: [score, [{"video_path", "video_results", ...}, ...]]}."""
    listing: dict[str, list[Any]] = {}
    for name, score in outcome.scores.items():
        rows = [
            {"video_path": storage.join(videos, record.video), **record.result}
            for record in _in_order(manifest, records)
            if record.dimension == name and record.result is not None
        ]
        listing[name] = [score.score, rows]
    return listing


def _in_order(manifest: Manifest, records: Mapping[tuple[str, str], Record]) -> list[Record]:
    return [records[v.name, d] for v in manifest.videos for d in v.dimensions if (v.name, d) in records]
