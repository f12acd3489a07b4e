"""`score` reads result files and is clear about those it cannot total."""

import json
from pathlib import Path

import pytest

from framemill.eval.config import ScoreConfig
from framemill.eval.dimensions.catalogue import VBENCH
from framemill.eval.score import score
from framemill.platform.errors import RequestError


@pytest.fixture
def results(tmp_path: Path) -> Path:
    path = tmp_path / "model_eval_results.json"
    rows = [{"video_path": "a-0.mp4", "video_results": 0.5}]
    path.write_text(json.dumps({facts.name: [0.5, rows] for facts in VBENCH}))
    return path


def test_totals_of_a_result_file(results: Path) -> None:
    totals = score(ScoreConfig(results=str(results)))
    assert list(totals.values) == ["quality", "semantic", "total"]
    assert totals.line().split()[-2:] == ["total", f"{100 * totals.values['total']:.2f}"]


def test_a_missing_dimension_is_named(results: Path) -> None:
    content = json.loads(results.read_text())
    del content["scene"]
    results.write_text(json.dumps(content))
    with pytest.raises(RequestError, match="no score for scene"):
        score(ScoreConfig(results=str(results)))


def test_the_wrong_suite_is_named(results: Path) -> None:
    with pytest.raises(RequestError, match="vbench_i2v"):
        score(ScoreConfig(results=str(results), suite="vbench_i2v"))
    with pytest.raises(RequestError, match="suite"):
        score(ScoreConfig(results=str(results), suite="vbench3"))


@pytest.mark.parametrize("content", ["no json", "[]", '{"scene": []}', '{"scene": "high"}', '{"scene": [true]}'])
def test_what_is_no_result_file_is_refused(results: Path, content: str) -> None:
    results.write_text(content)
    with pytest.raises(RequestError, match="results="):
        score(ScoreConfig(results=str(results)))
    with pytest.raises(RequestError, match="no such file"):
        score(ScoreConfig(results=str(results) + ".absent"))
