"""Summary of an evaluation: the scores of all dimensions, computed from the records of single videos.

All functions are pure: the same records give the same bytes, whatever the order in which the videos were measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from framemill.eval.dimensions.registry import load_dimension
from framemill.eval.records import DimensionRecord, ordered_records
from framemill.eval.scoring import vbench_totals
from framemill.eval.suites import EvaluationPlan

_UNFILTERED_NOTE = "measured without the static filter, so moving videos score low; not comparable with the leaderboard"
"""Note on temporal_flickering. VBench measures it on static videos only; the filter for these is not implemented."""


@dataclass(frozen=True)
class DimensionScore:
    """Score of one dimension, with the numbers of videos measured, failed and missing."""

    score: float
    """Score in 0..1, as in VBench's result file."""
    videos: int
    """Number of videos measured."""
    failed: int
    """Number of videos that could not be measured."""
    missing: int
    """Number of videos that the suite expects and the folder lacks."""

    @property
    def complete(self) -> bool:
        """Whether every video that the suite expects was measured."""
        return not self.failed and not self.missing


@dataclass(frozen=True)
class EvaluationSummary:
    """Everything an evaluation reports: the content of `result.json`."""

    suite: str
    scores: dict[str, DimensionScore]
    """Scores by dimension."""
    not_measured: dict[str, str]
    """Dimensions without a score, each with the reason."""
    notes: dict[str, str]
    """Remarks on scores, by dimension."""
    totals: dict[str, float] | None
    """Totals in 0..1; None unless the suite is vbench and all 16 dimensions were measured on all expected videos."""
    videos: int
    """Number of videos in the plan."""
    failed: dict[str, str]
    """Videos that could not be measured, each with the reason."""
    missing: tuple[str, ...]
    """Files that the suite expects and the folder lacks."""
    unmatched: tuple[str, ...]
    """Videos in the folder that belong to no prompt."""

    def to_json(self) -> str:
        """Returns the content of `result.json`."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n"

    @staticmethod
    def from_json(text: str | bytes) -> EvaluationSummary:
        """Returns the summary that `to_json` wrote."""
        fields: dict[str, Any] = json.loads(text)
        scores = {name: DimensionScore(**score) for name, score in fields.pop("scores").items()}
        missing, unmatched = tuple(fields.pop("missing")), tuple(fields.pop("unmatched"))
        return EvaluationSummary(scores=scores, missing=missing, unmatched=unmatched, **fields)


def summarise_records(
    suite: str,
    plan: EvaluationPlan,
    records: Mapping[tuple[str, str], DimensionRecord],
    measured: Sequence[str],
    not_measured: Mapping[str, str],
) -> EvaluationSummary:
    """Returns the summary of an evaluation whose videos have all been measured.

    Args:
        suite: name of the suite.
        plan: videos of the suite; their order is the order of summation.
        records: records by (video, dimension).
        measured: names of the dimensions to score.
        not_measured: the other dimensions of the suite, each with the reason. Dimensions of `measured` without a result
            are added to these in the summary.
    """
    scores: dict[str, DimensionScore] = {}
    reasons = dict(not_measured)
    for name in measured:
        own = [records[video.name, name] for video in plan.videos if (video.name, name) in records]
        results = [record.result for record in own if record.result is not None]
        missing = sum(name in dimensions for dimensions in plan.missing.values())
        if results:
            score = load_dimension(name).aggregate(results)
            scores[name] = DimensionScore(score, len(results), len(own) - len(results), missing)
        else:
            reasons[name] = f"no video to measure: {len(own)} failed, {missing} missing"
    notes = {"temporal_flickering": _UNFILTERED_NOTE} if "temporal_flickering" in scores else {}
    complete = suite == "vbench" and not reasons and not notes and all(score.complete for score in scores.values())
    return EvaluationSummary(
        suite=suite,
        scores=scores,
        not_measured=reasons,
        notes=notes,
        totals=vbench_totals({name: score.score for name, score in scores.items()}) if complete else None,
        videos=len(plan.videos),
        failed={r.video: r.reason for r in ordered_records(plan, records) if r.state == "failed"},
        missing=tuple(plan.missing),
        unmatched=plan.unmatched,
    )


def video_scores(
    plan: EvaluationPlan, records: Mapping[tuple[str, str], DimensionRecord], summary: EvaluationSummary
) -> dict[str, dict[str, float]]:
    """Returns the raw scores of single videos, as {dimension: {video: score}}, in the plan's order."""
    scores: dict[str, dict[str, float]] = {name: {} for name in summary.scores}
    for record in ordered_records(plan, records):
        if record.result is not None and record.dimension in scores:
            scores[record.dimension][record.video] = record.result.video_results
    return scores
