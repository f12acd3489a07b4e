"""`score`: the official totals of a VBench result file."""

from __future__ import annotations

import json
from typing import Any

from framemill.eval.config import ScoreConfig
from framemill.eval.scoring import TOTALS, ScoringError
from framemill.platform import storage
from framemill.platform.config import validate
from framemill.platform.errors import RequestError
from framemill.platform.progress import say


def score(config: ScoreConfig) -> dict[str, float]:
    """Reads a result file, prints its totals in points of 100 and returns them in 0..1.

    Raises RequestError where the file is not one, or lacks a dimension of the suite.
    """
    validate(config)
    try:
        totals = TOTALS[config.suite](read_scores(config.results))
    except ScoringError as error:
        raise RequestError(f"results={config.results}: {error} (suite={config.suite})") from error
    for name, value in totals.items():
        say(f"{name:<10}{100 * value:.2f}")
    return totals


def read_scores(results: str) -> dict[str, float]:
    """{dimension: score} of a file in VBench's schema {dimension: [score, ...]}, or of plain {dimension: score}.

    Raises RequestError where the file is not there or holds something else.
    """
    try:
        content = json.loads(storage.read_bytes(results))
    except FileNotFoundError as error:
        raise RequestError(f"results={results}: there is no such file") from error
    except ValueError as error:
        raise RequestError(f"results={results}: not a JSON file") from error
    if not isinstance(content, dict) or not all(_is_number(_first(value)) for value in content.values()):
        raise RequestError(f"results={results}: not a VBench result file: {{dimension: [score, ...]}}")
    return {name: float(_first(value)) for name, value in content.items()}


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
