"""The official totals reproduce the published leaderboards."""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from framemill.eval.dimensions.registry import VBENCH_DIMENSIONS
from framemill.eval.scoring import (
    I2V,
    I2V_QUALITY,
    VBENCH_QUALITY,
    VBENCH_SEMANTIC,
    MissingDimensions,
    ScoringError,
    UnknownDimensions,
    vbench_i2v_totals,
    vbench_totals,
)

REFERENCE = Path(__file__).parents[3] / "shared" / "reference"
TOLERANCE = 0.0136
"""Points of 100 for rows printed with two decimals: 0.0086 from rounded dimensions, 0.005 from the rounded total."""

VBENCH_ROWS = {
    "AnimateDiff-V2": "80.27 82.90 69.75 95.30 97.68 98.75 97.76 40.83 67.16 70.10 90.90 36.88 92.60 87.47 34.60 50.19 "
    "22.42 26.03 27.04",
    "Mira": "71.87 78.78 44.21 96.23 96.92 98.29 97.54 60.33 42.51 60.16 52.06 12.52 63.80 42.24 27.83 16.34 21.89 "
    "18.77 18.72",
    "Goku-T2V": "84.85 85.60 81.87 95.55 96.67 97.71 98.50 76.11 67.22 71.29 94.40 79.48 97.60 83.81 85.72 57.08 23.08 "
    "25.64 27.35",
}
"""Total, quality, semantic, then the 16 dimensions; from the VBench table of the Goku README (arXiv 2502.04896)."""
VBENCH_COLUMNS = list(VBENCH_DIMENSIONS)
I2V_ROWS = {
    "CogVideoX-5b-I2V": "86.7 94.79 78.61 67.68 97.19 96.74 94.34 96.42 98.4 33.17 61.87 70.01",
    "MAGI-1": "89.28 96.12 82.44 50.85 98.39 99.0 93.96 96.74 98.68 68.21 64.74 69.71",
}
"""Total, i2v, quality, then the nine dimensions; from the Step-Video-TI2V README and the MUG-V 10B report."""
I2V_COLUMNS = [*I2V.dimensions, *I2V_QUALITY.dimensions]


def embedded(rows: dict[str, str], columns: list[str]) -> Iterator[tuple[list[float], dict[str, float]]]:
    for line in rows.values():
        numbers = [float(n) for n in line.split()]
        yield numbers[:3], {name: n / 100 for name, n in zip(columns, numbers[3:], strict=True)}


def published(name: str, not_dimensions: set[str]) -> list[tuple[dict[str, str], dict[str, float]]]:
    path = REFERENCE / name
    if not path.exists():
        pytest.skip(f"{name} is not in ../shared")
    with path.open(newline="") as file:
        return [(r, {k: float(v) / 100 for k, v in r.items() if k not in not_dimensions}) for r in csv.DictReader(file)]


def errors(totals: dict[str, float], groups: list[str], expected: list[float]) -> list[float]:
    return [abs(100 * totals[g] - e) for g, e in zip(groups, expected, strict=True)]


def test_published_vbench_rows() -> None:
    for expected, scores in embedded(VBENCH_ROWS, VBENCH_COLUMNS):
        assert max(errors(vbench_totals(scores), ["total", "quality", "semantic"], expected)) <= TOLERANCE


def test_published_i2v_rows() -> None:
    for expected, scores in embedded(I2V_ROWS, I2V_COLUMNS):
        assert max(errors(vbench_i2v_totals(scores), ["total", "i2v", "quality"], expected)) <= TOLERANCE


def test_every_row_of_the_vbench_leaderboard() -> None:
    rows = published("vbench_leaderboard.csv", {"suite", "model", "total", "quality", "semantic", "source"})
    assert len(rows) >= 11
    for row, scores in rows:
        expected = [float(row[g]) for g in ("total", "quality", "semantic")]
        worst = max(errors(vbench_totals(scores), ["total", "quality", "semantic"], expected))
        assert worst <= TOLERANCE, (row["model"], worst)


def test_every_row_of_the_i2v_leaderboard() -> None:
    columns = {"suite", "model", "total", "i2v_score", "quality", "source", "reproduces"}
    rows = published("vbench_i2v_leaderboard.csv", columns)
    assert {row["reproduces"] for row, _ in rows} == {"yes", "no"}
    for row, scores in rows:
        expected = [float(row[g]) for g in ("total", "i2v_score", "quality")]
        worst = max(errors(vbench_i2v_totals(scores), ["total", "i2v", "quality"], expected))
        assert (worst <= TOLERANCE) == (row["reproduces"] == "yes"), (row["model"], worst)


@pytest.mark.parametrize(
    ("totals", "dimensions"),
    [
        (vbench_totals, VBENCH_QUALITY.dimensions + VBENCH_SEMANTIC.dimensions),
        (vbench_i2v_totals, I2V.dimensions + I2V_QUALITY.dimensions),
    ],
)
def test_wrong_scores_raise(
    totals: Callable[[dict[str, float]], dict[str, float]], dimensions: tuple[str, ...]
) -> None:
    whole = dict.fromkeys(dimensions, 0.5)
    totals(whole)
    for name in dimensions:
        with pytest.raises(MissingDimensions, match=name) as missing:
            totals({k: v for k, v in whole.items() if k != name})
        assert missing.value.dimensions == (name,)
    with pytest.raises(UnknownDimensions, match="sharpness"):
        totals({**whole, "sharpness": 0.5})
    with pytest.raises(UnknownDimensions, match="twice"):
        totals({**whole, "Subject Consistency": 0.5})
    for wrong in (95.3, -0.1, float("nan")):
        with pytest.raises(ScoringError, match="dynamic_degree"):
            totals({**whole, "dynamic_degree": wrong})


def test_perfect_scores_are_one_and_nothing_is_clamped() -> None:
    top = dict.fromkeys(VBENCH_COLUMNS, 1.0)
    top |= {"motion_smoothness": 0.9975, "scene": 0.8222, "appearance_style": 0.2855, "temporal_style": 0.364}
    assert vbench_totals({**top, "overall_consistency": 0.364})["total"] == pytest.approx(1.0)
    assert vbench_totals(dict.fromkeys(VBENCH_COLUMNS, 0.0))["quality"] < 0


def test_flicker_is_measured_by_i2v_but_does_not_count() -> None:
    whole = dict.fromkeys(I2V_COLUMNS, 0.5)
    assert vbench_i2v_totals({**whole, "temporal_flickering": 0.1}) == vbench_i2v_totals(whole)
