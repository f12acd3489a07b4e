"""`evaluate`: plan the videos, measure each on Ray, reduce the records to scores.

output/
  config.yaml                 the resolved config
  ledger/records.jsonl        one record for every (video, dimension); parts of it while the work goes on
  <name>_eval_results.json    scores in VBench's own schema; <name> is the output's name
  result.json                 scores, what was not measured and why, failed, missing and unmatched files, totals
  report.html                 the same for reading
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from framemill.eval import aggregate as reducing
from framemill.eval.aggregate import Outcome
from framemill.eval.config import EvaluateConfig
from framemill.eval.dimensions import measurable
from framemill.eval.dimensions.catalogue import obstacle
from framemill.eval.ledger import Ledger
from framemill.eval.measure import Record, VideoItem, measure_item
from framemill.eval.report import render
from framemill.eval.suites import Manifest, Video, plan, suite_dimensions
from framemill.platform import cluster, storage
from framemill.platform.config import validate
from framemill.platform.errors import FramemillError
from framemill.platform.frozen_config import claim_output, digest
from framemill.platform.pools import ItemResult, finish_all, map_tasks
from framemill.platform.progress import say
from framemill.platform.tracking import Tracker
from framemill.platform.writer_lock import WriterLock


@dataclass(frozen=True)
class EvaluateResult:
    """What `evaluate` did: its outcome, where it lies, and how many videos it measured now (others were resumed)."""

    output: str
    outcome: Outcome
    measured_now: int

    def line(self) -> str:
        """The last line of the job."""
        outcome = self.outcome
        counts = f"{outcome.videos} videos, {len(outcome.failed)} failed, {len(outcome.missing)} missing"
        return f"evaluate: {counts}; {storage.join(self.output, 'report.html')}"


def evaluate(config: EvaluateConfig) -> EvaluateResult:
    """Scores the videos of a suite, going on from what an earlier run of the same config left in the output.

    Raises RequestError for a request that makes no sense, PendingError when videos ran out of time (the same command
    tries them again), FramemillError when more than `max_failed` of the videos, or all of them, could not be read.
    """
    validate(config)
    videos, output = _absolute(config.videos), config.output
    manifest = plan(config.suite, videos, config.prompts_json, config.samples)
    measured, not_measured = choose_dimensions(config.suite, config.dimensions)
    claim_output(config, output)
    with WriterLock(output) as lock:
        params = {"suite": config.suite, "config": digest(config), "videos": len(manifest.videos)}
        with Tracker.open(config.tracking, output, f"evaluate {_name(output)}", params) as tracker:
            ledger = Ledger(output, lock.token())
            ledger.forget_stale(videos, manifest)
            todo = unmeasured(manifest, measured, ledger)
            _measure(config, videos, todo, ledger)
            outcome = reducing.reduce(config.suite, manifest, ledger.records, measured, not_measured)
            _write(output, videos, manifest, ledger, outcome)
            tracker.log_metrics(metrics(outcome))
            with storage.local_copy(storage.join(output, "result.json")) as path:
                tracker.log_artifact(path)
            _say(outcome)
            if not outcome.scores or len(outcome.failed) > config.max_failed * outcome.videos:
                raise FramemillError(f"{len(outcome.failed)} of {outcome.videos} videos failed{_first(outcome.failed)}")
    return EvaluateResult(output, outcome, len(todo))


def choose_dimensions(suite: str, asked: Sequence[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """The suite's dimensions that will be measured, and why each other will not."""
    not_measured = {}
    for name in suite_dimensions(suite):
        if name not in measurable():
            not_measured[name] = obstacle(name)
        elif asked and name not in asked:
            not_measured[name] = "not asked for"
    return tuple(name for name in suite_dimensions(suite) if name not in not_measured), not_measured


def unmeasured(manifest: Manifest, measured: Sequence[str], ledger: Ledger) -> list[Video]:
    """The videos with dimensions that have no record yet; each names just those dimensions."""
    todo = []
    for video in manifest.videos:
        wanted = [d for d in measured if d in video.dimensions and (video.name, d) not in ledger.records]
        if wanted:
            todo.append(Video(video.name, video.prompt, tuple(wanted)))
    return todo


def metrics(outcome: Outcome) -> dict[str, float]:
    """What MLflow is told. Totals are among it only where they stand."""
    values = {f"vbench/{name}": score.score for name, score in outcome.scores.items()}
    values |= {f"vbench/{name}": total for name, total in (outcome.totals or {}).items()}
    counts = {"videos": outcome.videos, "failed": len(outcome.failed), "missing": len(outcome.missing)}
    return values | {f"videos/{name}": float(count) for name, count in counts.items()}


def _measure(config: EvaluateConfig, videos: str, todo: Sequence[Video], ledger: Ledger) -> None:
    """Fills the ledger with the records of `todo`; what could not be finished is raised as pending at the end."""
    if not todo:
        return
    items = [VideoItem(storage.join(videos, video.name), video, config.timeout_s) for video in todo]
    workers = cluster.worker_count(config.workers)
    try:
        with cluster.session(config.cluster, workers):
            results = map_tasks(measure_item, items, workers, name=lambda item: item.video.name)
            finish_all(_recorded(results, ledger), label="evaluate", total=len(items), unit="videos")
    finally:
        ledger.flush()


def _recorded(results: Iterator[ItemResult[list[Record]]], ledger: Ledger) -> Iterator[ItemResult[list[Record]]]:
    """Yields the results, each once the ledger has its records."""
    for result in results:
        if result.value is not None:
            ledger.add(result.value)
        yield result


def _write(output: str, videos: str, manifest: Manifest, ledger: Ledger, outcome: Outcome) -> None:
    ledger.compact(manifest)
    official = reducing.official_results(manifest, ledger.records, outcome, videos)
    _write_json(storage.join(output, f"{_name(output)}_eval_results.json"), official)
    storage.write_atomic(storage.join(output, "report.html"), render(_name(output), outcome, official).encode("utf-8"))
    _write_json(storage.join(output, "result.json"), asdict(outcome))


def _write_json(uri: str, content: object) -> None:
    storage.write_atomic(uri, (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode("utf-8"))


def _say(outcome: Outcome) -> None:
    for name, score in outcome.scores.items():
        note = f"  ({outcome.notes[name]})" if name in outcome.notes else ""
        say(f"{name:<24}{score.score:.4f}  over {score.videos} videos{note}")
    for name, total in (outcome.totals or {}).items():
        say(f"{name:<24}{total:.4f}")
    if outcome.not_measured:
        say(f"not measured            {len(outcome.not_measured)} dimensions, so no total (why: result.json)")


def _first(reasons: Mapping[str, str]) -> str:
    return next((f", the first {video}: {reason}" for video, reason in reasons.items()), "")


def _absolute(uri: str) -> str:
    """Workers have a working folder of their own."""
    return os.path.abspath(storage.local_path(uri)) if storage.is_local(uri) else uri


def _name(output: str) -> str:
    return os.path.basename(_absolute(output).rstrip("/"))
