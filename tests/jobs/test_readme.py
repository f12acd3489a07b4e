"""The README's commands run, in their order, on a small reel: the whole loop, a job at a time."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from framemill.platform.vision.reel import render_reel

ROOT = Path(__file__).resolve().parents[2]
SMALL = {  # what a test leaves out of a job so that it takes seconds
    "curate": ["workers=2"],
    "encode": ["workers=2"],
    "train": ["workers=2", "curriculum.stages.low.steps=2", "curriculum.stages.high.steps=2", "eval.every=2"],
    "generate": ["steps=2", "workers=1"],
    "evaluate": ["workers=1"],
}


def commands() -> list[list[str]]:
    """The words of every command line in the README's console blocks."""
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    return [shlex.split(line[2:]) for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def test_make_has_the_targets_the_readme_names() -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M)
    named = [words[1] for words in commands() if words[0] == "make"]
    assert named and set(named) <= set(targets)


def test_the_readme_runs(tmp_path: Path) -> None:
    render_reel(str(tmp_path / "videos"), shots=12)
    (tmp_path / "prompts.txt").write_text("A red circle on a blue background.\n\nA green square.\n")
    jobs = [words for words in commands() if words[0] == "framemill"]
    assert [words[1] for words in jobs] == ["curate", "audit", "encode", "train", "generate", "evaluate", "status"]
    for words in jobs:
        command = [sys.executable, "-m", "framemill.jobs.cli", *words[1:], *SMALL.get(words[1], [])]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
        assert result.returncode == 0, f"{' '.join(words)}\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}"
    assert len(list((tmp_path / "samples").rglob("*.mp4"))) == 2
