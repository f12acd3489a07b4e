"""The doctor on this machine, and on one with parts taken away."""

import sys
from pathlib import Path

import pytest

from framemill.platform.doctor import DoctorConfig, doctor, examine


def test_every_lack_comes_with_advice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = doctor(DoctorConfig(path=str(tmp_path / "not" / "yet")))
    output = capsys.readouterr().out
    findings = list(examine(str(tmp_path)))
    assert status == int(any(f.advice and f.required for f in findings))
    assert output.count("\nnote") + output.count("\nLACKS") == output.count("-> ")
    assert {"Python", "torch", "ray", "C++ compiler", "disk", "video encoder"} <= {f.subject for f in findings}
    assert f"{sys.version.split()[0]}" in output


def test_no_compiler_is_told_and_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert doctor(DoctorConfig(path=str(tmp_path))) == 0
    assert "note  C++ compiler   none" in capsys.readouterr().out


def test_an_output_that_cannot_be_written_is_a_lack(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor(DoctorConfig(path="/proc/nowhere")) == 1
    assert "LACKS disk" in capsys.readouterr().out
