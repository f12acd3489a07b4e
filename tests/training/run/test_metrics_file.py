"""The run's record holds each step once, and so does the copy in MLflow."""

from __future__ import annotations

import json
from pathlib import Path

from framemill.platform.config import TrackingConfig
from framemill.platform.mlflow_store import mlflow_client
from framemill.platform.progress import Progress
from framemill.platform.tracking import Tracker
from framemill.training.run.metrics_file import (
    METRICS,
    BaselineLine,
    EvalLine,
    HeldOutLosses,
    MetricsFile,
    StartLine,
    TrainLine,
    read_lines,
)
from framemill.training.run.mlflow_mirror import MlflowMirror


def write(record: MetricsFile, first: int, last: int) -> None:
    for step in range(first, last + 1):
        record.write(
            TrainLine(
                step=step,
                stage="low",
                stage_step=step,
                task="video",
                bucket="9x48x80",
                loss=1 / step,
                grad_norm=0.5,
                lr=1e-3,
                samples=4,
                tokens=180,
                step_s=0.1,
                tokens_per_s=1800.0,
            )
        )
    record.sync()


def steps(output: Path) -> list[int]:
    return [line.step for line in read_lines(str(output))]


def test_taking_up_the_record_drops_what_will_be_done_again(tmp_path: Path) -> None:
    write(MetricsFile(str(tmp_path), 0), 1, 7)
    with open(tmp_path / METRICS, "a") as file:
        file.write('{"kind": "train", "st')
    assert steps(tmp_path) == [1, 2, 3, 4, 5, 6, 7]
    write(MetricsFile(str(tmp_path), 5), 6, 8)
    assert steps(tmp_path) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_process_that_outlived_its_driver_writes_into_nothing(tmp_path: Path) -> None:
    old = MetricsFile(str(tmp_path), 0)
    write(old, 1, 5)
    new = MetricsFile(str(tmp_path), 3)
    write(old, 6, 9)
    write(new, 4, 4)
    assert steps(tmp_path) == [1, 2, 3, 4]


def test_the_mirror_logs_each_step_once_over_restarts(tmp_path: Path) -> None:
    def tracker() -> Tracker:
        return Tracker.open(TrackingConfig(), str(tmp_path), "run", {"lr": 1})

    record = MetricsFile(str(tmp_path), 0)
    write(record, 1, 4)
    with tracker() as run:
        mirror = MlflowMirror(str(tmp_path), run, Progress("train", 9, "steps"))
        mirror.copy()
        write(record, 5, 6)
        mirror.copy()
        write(MetricsFile(str(tmp_path), 3), 4, 8)  # the worker was replaced
        mirror.copy()
        assert mirror.bar.done == 8
    write(MetricsFile(str(tmp_path), 5), 6, 9)  # the whole job was started again
    with tracker() as run:
        MlflowMirror(str(tmp_path), run, Progress("train", 9, "steps")).copy()
    history = mlflow_client(run.uri).get_metric_history(run.run_id, "train/loss")
    assert [(point.step, point.value) for point in history] == [(step, 1 / step) for step in range(1, 10)]


def test_every_kind_of_line_is_read_as_it_was_written(tmp_path: Path) -> None:
    lines = [
        StartLine(step=0, workers=2, device="cpu", pid=17, attempt=1),
        BaselineLine(step=0, linear_loss=1.5, variance=[0.9, 1.1]),
        EvalLine(0, "low", HeldOutLosses(2.0, 2.1, {"images": 1.9}, {"0.25": 2.2, "0.75": 1.8})),
    ]
    file = MetricsFile(str(tmp_path), 0)
    for line in lines:
        file.write(line)
    file.close()
    assert read_lines(str(tmp_path)) == lines
    values = json.loads((tmp_path / METRICS).read_text().splitlines()[-1])
    losses = {"loss": 2.0, "loss_other_captions": 2.1, "loss_images": 1.9}
    losses |= {"loss_sigma_0.25": 2.2, "loss_sigma_0.75": 1.8}
    assert values == {"kind": "eval", "step": 0, "stage": "low", **losses}
