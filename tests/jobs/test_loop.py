"""The real loop, small: from rendered video to a scored model, and its record in MLflow."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from framemill.jobs.cli import main
from framemill.platform.audit import audit
from framemill.platform.dataset import Dataset
from framemill.platform.mlflow_store import mlflow_client
from framemill.platform.vision.reel import render_reel
from tests.support.console import run_job

pytestmark = pytest.mark.ray
STEPS = ("train.curriculum.stages.low.steps=3", "train.curriculum.stages.high.steps=2", "train.eval.every=2")


def loop(folder: Path) -> list[str]:
    """The words of the job."""
    words = [f"input={folder}/videos", f"output={folder}/out", "workers=2", "prompts=2", "generate.steps=2"]
    return ["loop", *words, *STEPS]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a loop that ran as the console command, with a Ray of its own, and its standard output."""
    folder = tmp_path_factory.mktemp("loop")
    render_reel(str(folder / "videos"), shots=14)
    result = run_job(*loop(folder), cwd=folder)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return folder, result.stdout


def test_the_table_says_what_was_kept_trained_and_scored(finished: tuple[Path, str]) -> None:
    folder, output = finished
    kept = len(Dataset.open(str(folder / "out" / "dataset")))
    assert f"clips      {kept} kept of 30 found in 21 sources" in output
    for line in ("1 motion below", "1 saturation above", "1 technical below", "1 source failed", "1 source duplicate"):
        assert line in output
    assert re.search(r"stage +low: 3 steps, held-out loss \d\.\d+", output)
    assert re.search(r"score +temporal_flickering: 0\.\d{4}", output)
    assert (folder / "out" / "overview.png").stat().st_size > 10_000


def test_mlflow_has_parameters_metrics_the_dataset_and_the_videos(finished: tuple[Path, str]) -> None:
    out = finished[0] / "out"
    client = mlflow_client(f"sqlite:///{out}/mlflow.db")
    experiment = client.get_experiment_by_name("framemill")
    runs = {run.info.run_name.split()[0]: run for run in client.search_runs([experiment.experiment_id])}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    run = runs["run"]
    assert run.data.params["curriculum.stages.low.steps"] == "3"
    assert [each.dataset.digest for each in run.inputs.dataset_inputs] == [Dataset.open(str(out / "latents")).digest]
    steps = [point.step for point in client.get_metric_history(run.info.run_id, "train/loss")]
    assert steps == [1, 2, 3, 4, 5]
    samples = [file.path for file in client.list_artifacts(run.info.run_id, "samples")]
    assert len([name for name in samples if name.endswith(".mp4")]) == 2


def test_the_same_command_again_does_nothing_anew(
    finished: tuple[Path, str], ray_session: None, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, output = finished
    before = {p: p.stat().st_mtime_ns for p in (folder / "out" / "videos").glob("*.mp4")}
    index = (folder / "out" / "dataset" / "index.json").read_bytes()
    assert main(loop(folder)) == 0
    table = output[output.index("clips  ") : output.index("dataset  ")]
    assert table in capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert (folder / "out" / "dataset" / "index.json").read_bytes() == index


def test_audit_sees_one_changed_byte_of_a_shard(finished: tuple[Path, str]) -> None:
    dataset = finished[0] / "out" / "dataset"
    assert audit(str(dataset)).problems == []
    shard = sorted((dataset / "shards").glob("*.tar"))[0]
    content = shard.read_bytes()
    shard.write_bytes(content[:700] + bytes([content[700] ^ 1]) + content[701:])
    assert main(["audit", f"path={dataset}"]) == 1
    shard.write_bytes(content)
    assert main(["audit", f"path={dataset}"]) == 0
