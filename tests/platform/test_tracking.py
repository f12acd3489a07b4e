"""The record of a run in a real MLflow on SQLite."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from framemill.platform.config import TrackingConfig
from framemill.platform.mlflow_store import create_database, mlflow_client
from framemill.platform.tracking import Tracker, tracking_uri
from tests.support.console import START_S

WRITER = """
import sys
from framemill.platform.config import TrackingConfig
from framemill.platform.mlflow_store import create_database, mlflow_client
from framemill.platform.tracking import Tracker
with Tracker.open(TrackingConfig(uri=sys.argv[1]), sys.argv[2], "writer", {}) as tracker:
    tracker.log_metrics({"x": 1.0}, step=1)
"""


def test_a_stopped_run_is_taken_up_again(tmp_path: Path) -> None:
    output, tracking = str(tmp_path / "out"), TrackingConfig()
    with (
        pytest.raises(RuntimeError),
        Tracker.open(tracking, output, "run", {"model": {"width": 8}, "seed": 1}) as tracker,
    ):
        tracker.log_batch(("loss", 1.0 / step, step) for step in range(1, 1201))
        raise RuntimeError
    client = mlflow_client(tracking_uri(tracking, output))
    assert client.get_run(tracker.run_id).info.status == "FAILED"
    with Tracker.open(tracking, output, "run", {}) as again:
        assert again.run_id == tracker.run_id and again.last_step("loss") == 1200 and again.last_step("other") is None
        again.log_dataset("latents", "0123456789abcdef", "/data")
        (tmp_path / "note.txt").write_text("x")
        again.log_artifact(str(tmp_path / "note.txt"), "samples")
    run = client.get_run(again.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"model.width": "8", "seed": "1"}
    assert [data.dataset.digest for data in run.inputs.dataset_inputs] == ["0123456789abcdef"]
    assert [file.path for file in client.list_artifacts(again.run_id, "samples")] == ["samples/note.txt"]
    assert (tmp_path / "out" / "mlartifacts").is_dir()


def test_processes_share_a_database_whose_schema_exists(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    create_database(uri)
    assert Tracker.open(TrackingConfig(uri=uri), str(tmp_path / "first"), "first", {}).run_id
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, uri, str(tmp_path / f"out{n}")], stderr=subprocess.PIPE)
        for n in range(2)
    ]
    for writer in writers:
        _, error = writer.communicate(timeout=START_S)
        assert writer.returncode == 0, error.decode()


UNREACHABLE = """
import sys, time
from framemill.platform.config import TrackingConfig
from framemill.platform.tracking import Tracker
started = time.monotonic()
with Tracker.open(TrackingConfig(uri="http://127.0.0.1:9"), sys.argv[1], "run", {"a": 1}) as tracker:
    tracker.log_metrics({"x": 1.0})
    assert time.monotonic() - started < 0.5 and "mlflow" not in sys.modules
    print("worked", flush=True)
"""


def test_a_server_that_does_not_answer_delays_no_work_and_is_reported_at_the_end(tmp_path: Path) -> None:
    environment = dict(os.environ, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
    command = [sys.executable, "-c", UNREACHABLE, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=START_S)
    assert done.stdout == "worked\n"
    assert "FramemillError: tracking.uri=http://127.0.0.1:9: MLflow: " in done.stderr.splitlines()[-1]
    assert not list(tmp_path.iterdir())


def test_a_database_is_copied_from_the_users_cache_and_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    create_database(f"sqlite:///{tmp_path}/one/mlflow.db")
    (template,) = (tmp_path / "cache" / "framemill").iterdir()
    assert (tmp_path / "one" / "mlflow.db").read_bytes() == template.read_bytes()
    template.write_bytes(b"another")
    create_database(f"sqlite:///{tmp_path}/one/mlflow.db")
    create_database(f"sqlite:///{tmp_path}/two/mlflow.db")
    assert (tmp_path / "one" / "mlflow.db").read_bytes() != b"another" == (tmp_path / "two" / "mlflow.db").read_bytes()
    assert [path.name for path in (tmp_path / "two").iterdir()] == ["mlflow.db"]
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    create_database(f"sqlite:///{tmp_path}/three/mlflow.db")
    assert mlflow_client(f"sqlite:///{tmp_path}/three/mlflow.db").search_experiments()[0].name == "Default"
