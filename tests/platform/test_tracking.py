"""The record of a run in a real MLflow on SQLite."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from framemill.platform.config import TrackingConfig
from framemill.platform.tracking import Tracker, ensure_schema, import_mlflow, tracking_uri
from tests.support.console import START_S

WRITER = """
import sys
from framemill.platform.config import TrackingConfig
from framemill.platform.tracking import Tracker
with Tracker.open(TrackingConfig(uri=sys.argv[1]), sys.argv[2], "writer", {}) as tracker:
    tracker.log_metrics({"x": 1.0}, step=1)
"""


def test_a_stopped_run_is_taken_up_again(tmp_path: Path) -> None:
    mlflow = import_mlflow()
    output, tracking = str(tmp_path / "out"), TrackingConfig()
    with (
        pytest.raises(RuntimeError),
        Tracker.open(tracking, output, "run", {"model": {"width": 8}, "seed": 1}) as tracker,
    ):
        tracker.log_batch(("loss", 1.0 / step, step) for step in range(1, 1201))
        raise RuntimeError
    assert tracker.client.get_run(tracker.run_id).info.status == "FAILED"
    with Tracker.open(tracking, output, "run", {}) as again:
        assert again.run_id == tracker.run_id and again.last_step("loss") == 1200 and again.last_step("other") is None
        again.log_dataset("latents", "0123456789abcdef", "/data")
        (tmp_path / "note.txt").write_text("x")
        again.log_artifact(str(tmp_path / "note.txt"), "samples")
    client = mlflow.MlflowClient(tracking_uri=tracking_uri(tracking, output))
    run = client.get_run(again.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"model.width": "8", "seed": "1"}
    assert [data.dataset.digest for data in run.inputs.dataset_inputs] == ["0123456789abcdef"]
    assert [file.path for file in client.list_artifacts(again.run_id, "samples")] == ["samples/note.txt"]
    assert (tmp_path / "out" / "mlartifacts").is_dir()


def test_processes_share_a_database_whose_schema_exists(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    ensure_schema(uri)
    Tracker.open(TrackingConfig(uri=uri), str(tmp_path / "first"), "first", {})
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, uri, str(tmp_path / f"out{n}")], stderr=subprocess.PIPE)
        for n in range(2)
    ]
    for writer in writers:
        _, error = writer.communicate(timeout=START_S)
        assert writer.returncode == 0, error.decode()
