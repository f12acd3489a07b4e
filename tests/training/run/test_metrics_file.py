"""The run's record holds each step once, and so does the copy in MLflow."""

from __future__ import annotations

from pathlib import Path

from framemill.platform.config import TrackingConfig
from framemill.platform.mlflow_store import mlflow_client
from framemill.platform.progress import Progress
from framemill.platform.tracking import Tracker
from framemill.training.run.metrics_file import METRICS, MetricsFile, read_lines
from framemill.training.run.mlflow_mirror import MlflowMirror


def write(record: MetricsFile, first: int, last: int) -> None:
    for step in range(first, last + 1):
        record.write("train", step, stage="low", loss=1 / step)
    record.sync()


def steps(output: Path) -> list[int]:
    return [line["step"] for line in read_lines(str(output))]


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
