"""The command: help and refusals answer at once, and the exit status says what happened."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from framemill.data_filters.config import CurateConfig
from framemill.data_filters.measure.config import ClipConfig
from framemill.jobs.cli import JOBS
from framemill.platform.frozen_config import freeze
from tests.support.console import START_S


def framemill(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "framemill.jobs.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=START_S, check=False)


def test_help_lists_every_job() -> None:
    result = framemill("--help")
    assert result.returncode == 0
    assert all(f"  {job} " in result.stdout for job in JOBS)


@pytest.mark.parametrize("job", sorted(JOBS))
def test_each_job_lists_its_keys_with_defaults_and_loads_nothing_heavy(job: str) -> None:
    code = (
        "import sys; from framemill.jobs.cli import main; status = main([sys.argv[1], '--help']);"
        "heavy = {'torch', 'ray', 'mlflow', 'deepspeed', 'cv2', 'diffusers'} & sys.modules.keys();"
        "sys.exit(f'loaded {heavy}' if heavy else status)"
    )
    result = subprocess.run([sys.executable, "-c", code, job], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "required" in result.stdout or "default" in result.stdout or job in ("doctor", "demo")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["cuarte"], "did you mean curate?"),
        (["curate", "inptu=x", "output=y"], "did you mean input"),
        (["curate", "input=x"], "output"),
        (["curate", "input=x", "output=y", "select=nothing"], "select=nothing: must be one of"),
        (["curate", "input=x", "output=y", "workers=many"], "workers=many"),
        (["curate", "input=x", "output=y", "pack.mode=fast"], "pack.mode=fast: must be one of"),
        (["train", "data=/nowhere/at/all", "output=y"], "/nowhere/at/all"),
        (["curate", "input=/nowhere/at/all", "output=y"], "input=/nowhere/at/all"),
        (["evaluate", "videos=/nowhere/at/all", "output=y"], "/nowhere/at/all"),
        (["score", "results=/nowhere/at/all"], "/nowhere/at/all"),
        (["audit", "path=/nowhere/at/all"], "/nowhere/at/all"),
        (["status", "path=/nowhere/at/all"], "/nowhere/at/all"),
    ],
)
def test_a_wrong_request_is_one_line_and_status_2(tmp_path: Path, words: list[str], expected: str) -> None:
    result = framemill(*words, cwd=tmp_path)
    assert result.returncode == 2, result.stderr
    assert expected in result.stderr
    assert result.stderr.startswith("framemill: ") and len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "y" / "config.yaml").exists()


def test_an_output_that_holds_another_configs_result_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mp4").write_bytes(b"")
    theirs = CurateConfig(input="in", output="out", clip=ClipConfig(min_seconds=1.5))
    freeze(theirs, str(tmp_path / "out"))
    result = framemill("curate", "input=in", "output=out", cwd=tmp_path)
    assert result.returncode == 2
    assert "clip.min_seconds was 1.5, is 2.0" in result.stderr and len(result.stderr.strip().splitlines()) == 1
