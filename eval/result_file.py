"""Result file in VBench's own schema, {dimension: [score, [{"video_path", "video_results", ...}, ...]]}.

`evaluate` writes such a file, and `score` computes the official totals from one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from framemill.eval.config import ScoreConfig
from framemill.eval.records import DimensionRecord, ordered_records
from framemill.eval.scoring import TOTALS, ScoringError
from framemill.eval.suites import EvaluationPlan
from framemill.eval.summary import EvaluationSummary
from framemill.platform import storage
from framemill.platform.compose import resolve
from framemill.platform.errors import RequestError


@dataclass(frozen=True)
class ScoreResult:
    """Official totals of a result file."""

    totals: Mapping[str, float]
    """Totals in 0..1 by name: "quality", "semantic" (or "i2v") and "total"."""

    def line(self) -> str:
        """Returns the totals in points of 100, as leaderboards print them."""
        return "  ".join(f"{name} {100 * value:.2f}" for name, value in self.totals.items())


def score(config: ScoreConfig | None = None, **keys: Any) -> ScoreResult:
    """Returns the official totals of a result file.

    Args:
        config: the whole config, or None.
        **keys: the command's keys: `results`, `suite`.

    Raises:
        RequestError: a key is wrong, the file is not a result file, or it lacks a dimension of the suite.
    """
    config = resolve("score", ScoreConfig, config, keys)
    try:
        return ScoreResult(TOTALS[config.suite](_read_scores(config.results)))
    except ScoringError as error:
        raise RequestError(f"results={config.results}: {error} (suite={config.suite})") from error


def _read_scores(results: str) -> dict[str, float]:
    """Returns the scores in a result file by dimension; a plain {dimension: score} is read too.

    Args:
        results: path or URI of the file.

    Raises:
        RequestError: the file is absent or has another schema.
    """
    try:
        content = json.loads(storage.read_bytes(results))
    except FileNotFoundError as error:
        raise RequestError(f"results={results}: no such file") from error
    except ValueError as error:
        raise RequestError(f"results={results}: must be a JSON file") from error
    if not isinstance(content, dict) or not all(_is_number(_score_value(value)) for value in content.values()):
        raise RequestError(f"results={results}: must be a VBench result file, {{dimension: [score, ...]}}")
    return {name: float(_score_value(value)) for name, value in content.items()}


def result_file_content(
    plan: EvaluationPlan, records: Mapping[tuple[str, str], DimensionRecord], summary: EvaluationSummary, videos: str
) -> dict[str, list[Any]]:
    """Returns the content of the result file of an evaluation.

    Args:
        plan: videos of the evaluation; their order is the order of the entries.
        records: records by (video, dimension).
        summary: scores of the evaluation.
        videos: folder of the videos, the first part of every "video_path".
    """
    content: dict[str, list[Any]] = {}
    for name, dimension_score in summary.scores.items():
        entries = [
            {"video_path": storage.join(videos, record.video), **asdict(record.result)}
            for record in ordered_records(plan, records)
            if record.dimension == name and record.result is not None
        ]
        content[name] = [dimension_score.score, entries]
    return content


def _score_value(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
