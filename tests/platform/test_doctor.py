"""The doctor on this machine, and on one with parts taken away."""

import sys
from pathlib import Path

import pytest
from framemill.platform.doctor import DoctorConfig, doctor, examine


def test_every_lack_comes_with_advice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = doctor(DoctorConfig(path=str(tmp_path / "not" / "yet")))
    said = capsys.readouterr().out
    findings = list(examine(str(tmp_path)))
    assert status == int(any(f.advice and f.required for f in findings))
    assert said.count("\nnote") + said.count("\nLACKS") == said.count("-> ")
    assert {"Python", "torch", "ray", "DeepSpeed op", "disk", "video encoder"} <= {f.subject for f in findings}
    assert f"{sys.version.split()[0]}" in said


def test_no_compiler_is_a_lack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("PATH", "HOME", "TORCH_EXTENSIONS_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "bin"))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert doctor(DoctorConfig(path=str(tmp_path))) == 1
    assert "LACKS DeepSpeed op   not compiled, and a C++ compiler" in capsys.readouterr().out

    op = tmp_path / "torch_extensions" / "py311_cpu" / "deepspeed_shm_comm" / "deepspeed_shm_comm.so"
    op.parent.mkdir(parents=True)
    op.touch()
    assert doctor(DoctorConfig(path=str(tmp_path))) == 0
