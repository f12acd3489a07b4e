"""Scores are summed in the plan's order, and everything that is missing is counted."""

from framemill.eval.dimensions.base import DimensionResult
from framemill.eval.dimensions.registry import DIMENSIONS, VBENCH_DIMENSIONS
from framemill.eval.pipeline import choose_dimensions
from framemill.eval.records import DimensionRecord
from framemill.eval.result_file import result_file_content
from framemill.eval.suites import VBenchPrompt, plan_folder, plan_vbench
from framemill.eval.summary import EvaluationSummary, summarise_records, video_scores

FLICKER = "temporal_flickering"


def record(video: str, score: float) -> DimensionRecord:
    return DimensionRecord(video, "", "", FLICKER, version=1, state="ok", result=DimensionResult(score))


def test_scores_are_summed_in_the_order_of_the_plan() -> None:
    plan = plan_folder(["b.mp4", "a.mp4", "c.mp4"])
    values = {"a.mp4": 0.1, "b.mp4": 0.2, "c.mp4": 0.7}
    records = {(name, FLICKER): record(name, value) for name, value in reversed(values.items())}
    measured, not_measured = choose_dimensions("custom", [])
    summary = summarise_records("custom", plan, records, measured, not_measured)
    assert summary.scores[FLICKER].score == (0.1 + 0.2 + 0.7) / 3
    entries = [{"video_path": f"videos/{name}", "video_results": value} for name, value in values.items()]
    assert result_file_content(plan, records, summary, "videos") == {FLICKER: [summary.scores[FLICKER].score, entries]}
    assert list(video_scores(plan, records, summary)[FLICKER].items()) == list(values.items())


def test_vbench_counts_what_is_missing() -> None:
    prompts = [VBenchPrompt("a still cup", (FLICKER,)), VBenchPrompt("a cat", ("scene",))]
    plan = plan_vbench(["a still cup-0.mp4", "a cat-0.mp4"], prompts, samples=2)
    records = {("a still cup-0.mp4", FLICKER): record("a still cup-0.mp4", 0.9)}
    measured, not_measured = choose_dimensions("vbench", [])
    summary = summarise_records("vbench", plan, records, measured, not_measured)
    assert (summary.scores[FLICKER].videos, summary.scores[FLICKER].missing) == (1, 1)
    assert summary.missing == ("a still cup-1.mp4", "a cat-1.mp4")
    assert len(summary.not_measured) == len(VBENCH_DIMENSIONS) - 1 and summary.totals is None
    assert EvaluationSummary.from_json(summary.to_json()) == summary


def test_a_dimension_without_a_result_is_not_measured() -> None:
    plan = plan_folder(["a.mp4"])
    failed = DimensionRecord("a.mp4", "a", "", FLICKER, version=1, state="failed", reason="no frame")
    summary = summarise_records("custom", plan, {("a.mp4", FLICKER): failed}, (FLICKER,), {})
    assert summary.scores == {} and set(summary.not_measured) == {FLICKER} < set(DIMENSIONS)
    assert summary.not_measured[FLICKER] == "no video to measure: 1 failed, 0 missing"
    assert summary.failed == {"a.mp4": "no frame"}
