"""`score`: the official totals of a VBench result file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from framemill.eval.config import ScoreConfig
from framemill.eval.scoring import TOTALS, ScoringError
from framemill.platform import storage
from framemill.platform.config import validate
from framemill.platform.errors import RequestError


@dataclass(frozen=True)
class Totals:
    """Official totals in 0..1, by name."""

    values: Mapping[str, float]

    def line(self) -> str:
        """The totals in points of 100, as leaderboards print them."""
        return "  ".join(f"{name} {100 * value:.2f}" for name, value in self.values.items())


def score(config: ScoreConfig) -> Totals:
    """The totals of a result file.

    Raises RequestError where the file is not one, or lacks a dimension of the suite.
    """
    validate(config)
    try:
        return Totals(TOTALS[config.suite](read_scores(config.results)))
    except ScoringError as error:
        raise RequestError(f"results={config.results}: {error} (suite={config.suite})") from error


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
