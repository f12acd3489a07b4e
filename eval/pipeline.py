"""`framemill evaluate`: plans the videos of a suite, measures each on Ray, and computes scores from the records.

output/
  config.yaml                 resolved config
  ledger/records.jsonl        one record for every video and dimension; part files while the job runs
  <name>_eval_results.json    scores in VBench's own schema; <name> is the name of the output folder
  result.json                 scores, totals, dimensions not measured with the reason, failed, missing, unmatched files
  report.html                 content of result.json as an HTML page
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from framemill.eval.config import EvaluateConfig
from framemill.eval.dimensions.registry import DIMENSIONS
from framemill.eval.ledger import EvaluationLedger
from framemill.eval.measure import VideoItem, measure_item
from framemill.eval.records import DimensionRecord
from framemill.eval.report import evaluation_page
from framemill.eval.result_file import result_file_content
from framemill.eval.suites import EvaluationPlan, PlannedVideo, plan_evaluation, suite_dimensions
from framemill.eval.summary import EvaluationSummary, summarise_records, video_scores
from framemill.platform import cluster, storage
from framemill.platform.compose import resolve
from framemill.platform.errors import FramemillError
from framemill.platform.frozen_config import claim_output, digest
from framemill.platform.pools import ItemResult, finish_all, map_tasks
from framemill.platform.progress import say
from framemill.platform.tracking import Tracker
from framemill.platform.writer_lock import WriterLock


@dataclass(frozen=True)
class EvaluateResult:
    """Result of the job `evaluate`."""

    output: str
    """Output folder, as a path or URI."""
    summary: EvaluationSummary
    measured_now: int
    """Number of videos that this run measured; the others were measured by earlier runs."""

    def line(self) -> str:
        """Returns the last line that the job prints."""
        summary = self.summary
        counts = f"{summary.videos} videos, {len(summary.failed)} failed, {len(summary.missing)} missing"
        return f"evaluate: {counts}; {storage.join(self.output, 'report.html')}"


def evaluate(config: EvaluateConfig | None = None, **keys: Any) -> EvaluateResult:
    """Scores the videos of a suite; videos that an earlier run of the same config measured are not measured again.

    Args:
        config: the whole config, or None.
        **keys: the command's keys, e.g. `videos`, `output`, `suite`.

    Raises:
        RequestError: a key is wrong, or the output contains the result of another config.
        PendingError: some videos are not measured, e.g. after a timeout; the next call retries these videos.
        FramemillError: all videos failed, or a larger share of them than `max_failed`.
    """
    config = resolve("evaluate", EvaluateConfig, config, keys)
    videos, output = _absolute(config.videos), config.output
    plan = plan_evaluation(config.suite, videos, config.prompts_json, config.samples)
    measured, not_measured = choose_dimensions(config.suite, config.dimensions)
    claim_output(config, output)
    with WriterLock(output) as lock:
        params = {"suite": config.suite, "config": digest(config), "videos": len(plan.videos)}
        with Tracker.open(config.tracking, output, f"evaluate {_name(output)}", params) as tracker:
            ledger = EvaluationLedger(output, lock.token())
            ledger.drop_stale(videos, plan)
            todo = _unmeasured_videos(plan, measured, ledger)
            _measure_videos(config, videos, todo, ledger)
            summary = summarise_records(config.suite, plan, ledger.records, measured, not_measured)
            _write_results(output, videos, plan, ledger, summary)
            tracker.log_metrics(_mlflow_metrics(summary))
            with storage.local_copy(storage.join(output, "result.json")) as path:
                tracker.log_artifact(path)
            _print_scores(summary)
            if not summary.scores or len(summary.failed) > config.max_failed * summary.videos:
                raise FramemillError(
                    f"{len(summary.failed)} of {summary.videos} videos failed{_first_failure(summary.failed)}"
                )
    return EvaluateResult(output, summary, len(todo))


def choose_dimensions(suite: str, requested: Sequence[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Returns the dimensions of a suite to measure, and the reason for each dimension that is not measured.

    Args:
        suite: name of the suite.
        requested: names of the dimensions to measure; empty for all that can be measured.
    """
    not_measured = {}
    for name in suite_dimensions(suite):
        if not DIMENSIONS[name].measurable:
            not_measured[name] = DIMENSIONS[name].obstacle
        elif requested and name not in requested:
            not_measured[name] = "not requested"
    return tuple(name for name in suite_dimensions(suite) if name not in not_measured), not_measured


def _unmeasured_videos(
    plan: EvaluationPlan, measured: Sequence[str], ledger: EvaluationLedger
) -> tuple[PlannedVideo, ...]:
    """Returns the videos with dimensions that have no record yet, each with just these dimensions."""
    todo = []
    for video in plan.videos:
        names = tuple(d for d in measured if d in video.dimensions and (video.name, d) not in ledger.records)
        if names:
            todo.append(PlannedVideo(video.name, video.prompt, names))
    return tuple(todo)


def _measure_videos(
    config: EvaluateConfig, videos: str, todo: Sequence[PlannedVideo], ledger: EvaluationLedger
) -> None:
    """Adds the records of the videos `todo` to the ledger; raises PendingError at the end if some are pending."""
    if not todo:
        return
    items = [VideoItem(storage.join(videos, video.name), video, config.timeout_s) for video in todo]
    workers = cluster.worker_count(config.workers)
    try:
        with cluster.session(config.cluster, workers):
            results = map_tasks(measure_item, items, workers, name=lambda item: item.video.name)
            finish_all(_record_results(results, ledger), label="evaluate", total=len(items), unit="videos")
    finally:
        ledger.flush()


def _record_results(
    results: Iterator[ItemResult[list[DimensionRecord]]], ledger: EvaluationLedger
) -> Iterator[ItemResult[list[DimensionRecord]]]:
    """Yields the results, each after its records were added to the ledger."""
    for result in results:
        if result.value is not None:
            ledger.add(result.value)
        yield result


def _mlflow_metrics(summary: EvaluationSummary) -> dict[str, float]:
    """Returns the metrics that MLflow records; totals are among them only if they were computed."""
    values = {f"vbench/{name}": score.score for name, score in summary.scores.items()}
    values |= {f"vbench/{name}": total for name, total in (summary.totals or {}).items()}
    counts = {"videos": summary.videos, "failed": len(summary.failed), "missing": len(summary.missing)}
    return values | {f"videos/{name}": float(count) for name, count in counts.items()}


def _write_results(
    output: str, videos: str, plan: EvaluationPlan, ledger: EvaluationLedger, summary: EvaluationSummary
) -> None:
    ledger.compact(plan)
    content = result_file_content(plan, ledger.records, summary, videos)
    page = evaluation_page(_name(output), summary, video_scores(plan, ledger.records, summary))
    files = {
        f"{_name(output)}_eval_results.json": json.dumps(content, ensure_ascii=False, indent=2) + "\n",
        "report.html": page,
        "result.json": summary.to_json(),
    }
    for name, text in files.items():
        storage.write_atomic(storage.join(output, name), text.encode("utf-8"))


def _print_scores(summary: EvaluationSummary) -> None:
    for name, score in summary.scores.items():
        note = f"  ({summary.notes[name]})" if name in summary.notes else ""
        say(f"{name:<24}{score.score:.4f}  over {score.videos} videos{note}")
    for name, total in (summary.totals or {}).items():
        say(f"{name:<24}{total:.4f}")
    if summary.not_measured:
        say(f"not measured            {len(summary.not_measured)} dimensions, so no total (reasons: result.json)")


def _first_failure(reasons: Mapping[str, str]) -> str:
    return next((f", the first {video}: {reason}" for video, reason in reasons.items()), "")


def _absolute(uri: str) -> str:
    """Returns a URI, with a local path made absolute: Ray workers have another working directory."""
    return os.path.abspath(storage.local_path(uri)) if storage.is_local(uri) else uri


def _name(output: str) -> str:
    return os.path.basename(_absolute(output).rstrip("/"))
