"""The command: help and refusals answer at once, and the exit status says what happened."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from framemill.data_filters.config import CurateConfig
from framemill.data_filters.measure.config import ClipConfig
from framemill.jobs.cli import JOBS, main
from framemill.platform.frozen_config import freeze
from tests.support.console import JOB_S, run_job

HELP_OF_EACH = """
import sys
from framemill.jobs.cli import main
for job in sys.argv[1:]:
    print("=====", job)
    assert main([job, "--help"]) == 0, job
    heavy = {"torch", "ray", "mlflow", "deepspeed", "cv2", "diffusers"} & sys.modules.keys()
    assert not heavy, f"{job} loads {heavy}"
"""


def test_help_lists_every_job() -> None:
    result = run_job("--help")
    assert result.returncode == 0
    assert all(f"  {job} " in result.stdout for job in JOBS)


def test_each_job_lists_its_keys_with_defaults_and_loads_nothing_heavy() -> None:
    command = [sys.executable, "-c", HELP_OF_EACH, *JOBS]
    result = subprocess.run(command, capture_output=True, text=True, timeout=JOB_S, check=False)
    assert result.returncode == 0, result.stderr
    helps = result.stdout.split("===== ")
    for job in JOBS:
        (text,) = [each for each in helps if each.startswith(f"{job}\nusage: framemill {job} ")]
        assert "required" in text or "default" in text or job in ("doctor", "demo")


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
def test_a_wrong_request_is_one_line_and_status_2(
    tmp_path: Path,
    words: list[str],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    line = capsys.readouterr().err
    assert expected in line
    assert line.startswith("framemill: ") and len(line.strip().splitlines()) == 1
    assert not (tmp_path / "y" / "config.yaml").exists()


def test_an_output_that_holds_another_configs_result_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mp4").write_bytes(b"")
    theirs = CurateConfig(input="in", output="out", clip=ClipConfig(min_seconds=1.5))
    freeze(theirs, str(tmp_path / "out"))
    result = run_job("curate", "input=in", "output=out", cwd=tmp_path)
    assert result.returncode == 2
    assert "clip.min_seconds was 1.5, is 2.0" in result.stderr and len(result.stderr.strip().splitlines()) == 1
