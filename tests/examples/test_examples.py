"""The scripts of examples/ run, one after the other as a reader would run them, on a small reel."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import framemill
from framemill.platform.vision.reel import render_reel
from framemill.platform.vision.video import probe

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a script in this process, so that all share one Ray session, and returns what it printed."""

    def run_script(name: str, *words: str | Path) -> str:
        monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run_script


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `videos`; the scripts add what they make."""
    folder = tmp_path_factory.mktemp("examples")
    render_reel(str(folder / "videos"), shots=12)
    return folder


def test_every_script_is_listed() -> None:
    scripts = sorted(path.name for path in EXAMPLES.glob("*.py"))
    text = (EXAMPLES / "README.md").read_text("utf-8")
    assert len(scripts) == 5 and all(f"| `{script}" in text for script in scripts)


def test_the_model_alone_runs(run: Callable[..., str]) -> None:
    assert "1.54 M parameters" in run("use_model.py")


@pytest.mark.slow
def test_the_others_run_in_their_order(run: Callable[..., str], folder: Path, ray_session: None) -> None:
    dataset = folder / "dataset"
    assert "curate: kept" in run("curate_with_own_score.py", folder / "videos", dataset)
    clips = framemill.open_dataset(str(dataset)).ledger("clips").to_pandas()
    assert clips.loc[clips["state"] == "kept", "green"].max() <= 0.2

    printed = run("reselect_and_plot.py", dataset, folder / "selected")
    assert "curate: kept" in printed and (folder / "selected" / "motion.png").stat().st_size > 5000
    selected, kept = (framemill.open_dataset(str(path)) for path in (folder / "selected", dataset))
    assert 0 < len(selected) < len(kept)

    assert len(run("read_with_webdataset.py", dataset).splitlines()) == len(kept)

    run("train_tiny.py", dataset, folder / "tiny", 2)
    (video,) = (folder / "tiny" / "videos").rglob("*.mp4")
    assert probe(str(video)).width > 0
