"""`score` reads result files, and names what is wrong with one that has no totals."""

import json
from pathlib import Path

import pytest

from framemill.eval import ScoreConfig, score
from framemill.eval.dimensions.registry import VBENCH_DIMENSIONS
from framemill.platform.errors import RequestError


@pytest.fixture
def results(tmp_path: Path) -> Path:
    path = tmp_path / "model_eval_results.json"
    rows = [{"video_path": "a-0.mp4", "video_results": 0.5}]
    path.write_text(json.dumps({name: [0.5, rows] for name in VBENCH_DIMENSIONS}))
    return path


def test_totals_of_a_result_file(results: Path) -> None:
    result = score(results=str(results))
    assert list(result.totals) == ["quality", "semantic", "total"]
    assert result.line().split()[-2:] == ["total", f"{100 * result.totals['total']:.2f}"]
    assert score(ScoreConfig(results=str(results))) == result


def test_a_missing_dimension_is_named(results: Path) -> None:
    content = json.loads(results.read_text())
    del content["scene"]
    results.write_text(json.dumps(content))
    with pytest.raises(RequestError, match="no score for scene"):
        score(results=str(results))


def test_the_wrong_suite_is_named(results: Path) -> None:
    with pytest.raises(RequestError, match="vbench_i2v"):
        score(results=str(results), suite="vbench_i2v")
    with pytest.raises(RequestError, match="suite"):
        score(results=str(results), suite="vbench3")


@pytest.mark.parametrize("content", ["no json", "[]", '{"scene": []}', '{"scene": "high"}', '{"scene": [true]}'])
def test_another_schema_is_refused(results: Path, content: str) -> None:
    results.write_text(content)
    with pytest.raises(RequestError, match="results="):
        score(results=str(results))
    with pytest.raises(RequestError, match="no such file"):
        score(results=str(results) + ".absent")
