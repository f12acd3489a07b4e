"""Datasets and a half-trained run that commit b1a88d6 wrote (format version 1) are read, selected from and resumed."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from framemill.data_filters.config import CurateConfig
from framemill.data_filters.explain import explain
from framemill.data_filters.pipeline import curate
from framemill.jobs.cli import main
from framemill.platform.compose import compose
from framemill.platform.config import TrackingConfig
from framemill.platform.dataset import Dataset, read_ledger
from framemill.platform.frozen_config import load_frozen
from framemill.training.model import LinearDiT
from framemill.training.run.config import TrainConfig
from framemill.training.run.train import train

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "format_v1"
RESELECTIONS = json.loads((FIXTURES / "reselections.json").read_text("utf-8"))
SOURCE_COLUMNS, CLIP_COLUMNS = ("path", "state", "reason", "clips"), ("key", "state", "reason", "caption")
CLOCK = 1_600_000_000
"""Modification time of the footage's files, which the stamps in the dataset's parts have."""
MEASURED_ANEW = {"step_s", "tokens_per_s"}
"""Times in the lines of metrics.jsonl."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the fixtures, the footage with the times that it had."""
    copy = tmp_path_factory.mktemp("format") / "v1"
    shutil.copytree(FIXTURES, copy)
    for path in (copy / "footage").rglob("*"):
        os.utime(path, (CLOCK, CLOCK))
    return copy


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> TrackingConfig:
    """One MLflow file for all jobs of this module: its schema takes seconds."""
    return TrackingConfig(uri=f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}")


def rows(dataset: Path, table: str, columns: tuple[str, ...]) -> list[list[Any]]:
    """Columns of a ledger table, row by row."""
    return [[row[column] for column in columns] for row in read_ledger(str(dataset), table).to_pylist()]


def videos(dataset: Path) -> dict[str, bytes]:
    """The mp4 of each sample, by key."""
    samples = Dataset.open(str(dataset))
    return {key: samples.read(row, "mp4") for row, key in enumerate(samples.samples["key"].to_pylist())}


@pytest.mark.parametrize("name", ["dataset", "latents", "run"])
def test_audit_finds_them_whole(folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", f"path={folder / name}"]) == 0
    assert main(["status", f"path={folder / name}"]) == 0
    shard = next((folder / name).rglob("*.tar" if name != "run" else "model.safetensors"))
    data = shard.read_bytes()
    shard.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert main(["audit", f"path={folder / name}"]) == 1
    shard.write_bytes(data)
    assert shard.name in capsys.readouterr().out


@pytest.mark.parametrize("name", ["dataset"])
def test_each_clip_is_explained(folder: Path, name: str) -> None:
    clips = read_ledger(str(folder / name), "clips").to_pylist()
    for clip in clips:
        lines = explain(str(folder / name), clip["key"])
        text = "\n".join(lines)
        assert clip["key"] in text and clip["path"] in text
        assert clip["state"] in text and (clip["reason"] or "") in text


@pytest.mark.ray
@pytest.mark.parametrize("name", RESELECTIONS)
def test_selected_anew_it_gives_what_it_gave(
    folder: Path, tracking: TrackingConfig, tmp_path: Path, ray_session: None, name: str
) -> None:
    """Stricter, looser (clips are cut from the footage), without a source that another repeats, by networks' scores."""
    expected = RESELECTIONS[name]
    words = [word.replace("{}", str(folder)) for word in expected["words"]]
    output = tmp_path / "out"
    config = compose("curate", CurateConfig, [f"output={output}", "workers=2", *words])
    curate(dataclasses.replace(config, tracking=tracking))
    assert rows(output, "sources", SOURCE_COLUMNS) == expected["sources"]
    assert rows(output, "clips", CLIP_COLUMNS) == expected["clips"]
    before, after = videos(Path(config.from_)), videos(output)
    assert sorted(after) == [key for key, state, *_ in expected["clips"] if state == "kept"]
    assert all(after[key] == mp4 for key, mp4 in before.items() if key in after), "a clip that was packed is the same"
    assert main(["audit", f"path={output}"]) == 0


@pytest.mark.ray
def test_the_same_command_continues_the_dataset(folder: Path, tracking: TrackingConfig, ray_session: None) -> None:
    """With a source more, only that is measured; the others' parts of format version 1 are taken as they are."""
    dataset, footage = folder / "grown", folder / "grown footage"
    shutil.copytree(folder / "dataset", dataset)
    shutil.copytree(folder / "footage", footage)
    shutil.copy(footage / "near copy.mp4", footage / "nearer copy.mp4")
    (dataset / "work" / "journal.jsonl").unlink()
    config = load_frozen(CurateConfig, dataset / "config.yaml")
    join = dataclasses.replace(config.join, scores=str(footage / "liked.csv"))
    config = dataclasses.replace(config, input=str(footage), output=str(dataset), join=join, tracking=tracking)
    curate(config)
    events = [json.loads(line) for line in (dataset / "work" / "journal.jsonl").read_text().splitlines()]
    assert {event["path"] for event in events if "path" in event} == {"nearer copy.mp4"}
    same = [row for row in rows(dataset, "sources", SOURCE_COLUMNS) if row[0] != "nearer copy.mp4"]
    assert same == rows(folder / "dataset", "sources", SOURCE_COLUMNS)
    assert rows(dataset, "clips", CLIP_COLUMNS) == rows(folder / "dataset", "clips", CLIP_COLUMNS)
    assert videos(dataset) == videos(folder / "dataset")
    assert main(["audit", f"path={dataset}"]) == 0


def losses(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl but for starts, without times."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [
        {name: value for name, value in line.items() if name not in MEASURED_ANEW}
        for line in lines
        if line["kind"] != "start"
    ]


def machine() -> dict[str, str]:
    """What the last digits of a sum depend on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {"cpu": model, "capability": torch.backends.cpu.get_cpu_capability(), "torch": torch.__version__}


def assert_close(value: Any, expected: Any) -> None:
    """Numbers agree to four digits, in whatever lists and dictionaries, and all else is equal."""
    if isinstance(expected, dict):
        assert value.keys() == expected.keys()
        for name in expected:
            assert_close(value[name], expected[name])
    elif isinstance(expected, list):
        assert len(value) == len(expected)
        for one, other in zip(value, expected, strict=True):
            assert_close(one, other)
    elif isinstance(expected, float):
        assert value == pytest.approx(expected, rel=1e-4)
    else:
        assert value == expected


@pytest.mark.ray
def test_the_run_resumes_to_the_same_losses_and_is_exported(
    folder: Path, tracking: TrackingConfig, ray_session: None
) -> None:
    run = folder / "run"
    config = load_frozen(TrainConfig, run / "config.yaml")
    config = dataclasses.replace(config, data=str(folder / "latents"), output=str(run), tracking=tracking)
    result = train(config)
    resumed, undisturbed = losses(run / "metrics.jsonl"), losses(folder / "losses.jsonl")
    if machine() == json.loads((folder / "machine.json").read_text()):
        assert resumed == undisturbed
    else:  # another CPU adds up in another order
        assert_close(resumed, undisturbed)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["kind"] == "start"] == [0, 5] and result.steps == 12
    model = LinearDiT.from_diffusers(run / "export" / "transformer")
    assert sum(parameter.numel() for parameter in model.parameters()) > 10_000
    info = json.loads((run / "export" / "framemill.json").read_text())
    assert (info["codec"], info["text"], info["step"]) == ("dct", "hashed", 12)
    assert main(["audit", f"path={run}"]) == 0
