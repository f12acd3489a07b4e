"""`evaluate` on generated videos: nothing is lost or measured twice, and no total is made from part of a suite."""

import json
import os
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest

from framemill.eval import EvaluateConfig, evaluate
from framemill.eval.dimensions.registry import DIMENSIONS
from framemill.eval.status import evaluation_status
from framemill.platform.errors import FramemillError, PendingError, RequestError
from framemill.platform.vision.video import encode_mp4, read_video

FLICKER = "temporal_flickering"


def make_video(path: Path, seed: int, frames: int = 6) -> None:
    noise = np.random.default_rng(seed).integers(0, 60 * seed, (frames, 32, 48, 3), dtype=np.uint8)
    path.write_bytes(encode_mp4(noise, 8))


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    for seed, name in enumerate(["a cat-0.mp4", "a cat-1.mp4", "a dog-0.mp4"], start=1):
        make_video(folder / name, seed)
    (folder / "broken.mp4").write_bytes(b"no video at all")
    return folder


def expected_score(path: Path) -> float:
    frames = read_video(str(path)).astype(np.float64)
    return (255 - np.abs(np.diff(frames, axis=0)).mean()) / 255


def test_evaluate(ray_session: None, videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = EvaluateConfig(videos=str(videos), output=str(tmp_path / "scores"), workers=2)
    first = evaluate(config)
    out = tmp_path / "scores"

    official = json.loads((out / "scores_eval_results.json").read_text())
    score, rows = official[FLICKER]
    expected = {str(p): expected_score(p) for p in sorted(videos.glob("a *.mp4"))}
    assert [row["video_path"] for row in rows] == list(expected)
    assert [row["video_results"] for row in rows] == pytest.approx(list(expected.values()), abs=1e-6)
    assert score == pytest.approx(np.mean(list(expected.values())), abs=1e-6)

    result = json.loads((out / "result.json").read_text())
    assert set(result["not_measured"]) == set(DIMENSIONS) - {FLICKER}
    assert "amt-s.pth" in result["not_measured"]["motion_smoothness"]
    assert list(result["failed"]) == ["broken.mp4"] and result["failed"]["broken.mp4"]
    assert result["videos"] == 4 and result["totals"] is None
    printed = capsys.readouterr().out
    assert "quality" not in printed and "total " not in printed.replace("so no total ", "")
    assert "broken.mp4" in (out / "report.html").read_text()
    assert first.line().startswith("evaluate: 4 videos, 1 failed, 0 missing")

    client = mlflow.MlflowClient(f"sqlite:///{out}/mlflow.db")
    logged = client.get_run((out / "mlflow_run.txt").read_text()).data.metrics
    assert logged["vbench/" + FLICKER] == score and logged["videos/failed"] == 1
    assert not [name for name in logged if name.endswith("total")]

    # A second run measures nothing. Of a changed file all records are measured again, of the others none.
    records = (out / "ledger" / "records.jsonl").read_bytes()
    assert (first.measured_now, evaluate(config).measured_now) == (4, 0)
    assert (out / "ledger" / "records.jsonl").read_bytes() == records
    make_video(videos / "a cat-1.mp4", seed=4)
    again = evaluate(config)
    assert again.measured_now == 1
    assert again.summary.scores[FLICKER].score != score

    # A run that was killed half-way: records of its parts are kept, the others are measured.
    lines = (out / "ledger" / "records.jsonl").read_bytes().splitlines(keepends=True)
    (out / "ledger" / "records.jsonl").unlink()
    (out / "ledger" / "part-000000.jsonl").write_bytes(b"".join(lines[:3]))
    resumed = evaluate(config)
    assert resumed.measured_now == 1 and resumed.summary == again.summary
    assert [p.name for p in (out / "ledger").iterdir()] == ["records.jsonl"]

    # One worker gives the same bytes as two.
    alone = EvaluateConfig(videos=str(videos), output=str(tmp_path / "alone"), workers=1)
    assert evaluate(alone).summary == again.summary
    for name in ("ledger/records.jsonl", "result.json"):
        assert (tmp_path / "alone" / name).read_bytes() == (out / name).read_bytes()

    with pytest.raises(RequestError, match="another config"):
        evaluate(EvaluateConfig(videos=str(videos), output=str(out), dimensions=[FLICKER]))


def test_nothing_readable_is_a_failure(ray_session: None, tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / "videos" / name).write_bytes(b"")
    with pytest.raises(FramemillError, match=r"2 of 2 videos failed, the first a\.mp4") as failure:
        evaluate(EvaluateConfig(videos=str(tmp_path / "videos"), output=str(tmp_path / "out"), workers=1))
    assert failure.value.exit_status == 1


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"suite": "vbench"}, "prompts_json"),
        ({"suite": "vbench2"}, "suite"),
        ({"samples": 0}, "samples"),
        ({"timeout_s": 0.0}, "timeout_s"),
        ({"max_failed": 1.5}, "max_failed"),
        ({"dimensions": ["beauty"]}, "beauty"),
        ({"dimensions": ["aesthetic_quality"]}, "sa_0_4_vit_l_14_linear.pth"),
        ({"videos": "/no/such/folder"}, "videos"),
    ],
)
def test_wrong_requests_name_the_key(tmp_path: Path, keys: dict[str, Any], named: str) -> None:
    with pytest.raises(RequestError, match=named):
        evaluate(EvaluateConfig(**{"videos": str(tmp_path), "output": str(tmp_path / "out"), **keys}))
    with pytest.raises(RequestError, match=named):
        evaluate(**{"videos": str(tmp_path), "output": str(tmp_path / "out"), **keys})
    assert not (tmp_path / "out").exists()


def test_pending_videos_are_measured_by_the_next_run(ray_session: None, tmp_path: Path) -> None:
    folder, out = tmp_path / "videos", tmp_path / "out"
    config = EvaluateConfig(videos=str(folder), output=str(out), timeout_s=3.0, workers=1)
    folder.mkdir()
    make_video(folder / "b.mp4", seed=1)
    os.mkfifo(folder / "a.mp4")  # reading it waits for a writer that never comes
    with pytest.raises(PendingError, match=r"evaluate: a\.mp4: time limit: .*; the same command tries again") as error:
        evaluate(config)
    assert error.value.exit_status == 1
    assert not (out / "result.json").exists()
    assert evaluation_status(str(out), os.listdir(out)) == ["measured: 1 records; the same command goes on from here"]

    # An error that no code expects: the file vanishes after the videos were listed.
    (folder / "a.mp4").unlink()
    (folder / "a.mp4").symlink_to(folder / "absent.mp4")
    with pytest.raises(PendingError, match=r"evaluate: a\.mp4: FileNotFoundError: .*; the same command tries again"):
        evaluate(config)
    assert not (out / "result.json").exists()

    (folder / "a.mp4").unlink()
    make_video(folder / "a.mp4", seed=2)
    result = evaluate(config)
    assert result.measured_now == 1 and result.summary.scores[FLICKER].videos == 2
    (line,) = evaluation_status(str(out), os.listdir(out))
    assert line.startswith("evaluated: 2 videos, 0 failed, 0 missing; temporal_flickering 0.")
