"""The README's commands run in their order on a small reel, then those that docs/training.md builds upon them."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from framemill.jobs.cli import configure
from framemill.platform.vision.reel import render_reel
from framemill.platform.vision.video import probe
from tests.support.console import JOB_S

ROOT = Path(__file__).resolve().parents[2]
SMALL = {  # what a test leaves out of a job so that it takes seconds
    "curate": ["workers=2"],
    "encode": ["workers=2"],
    "train": ["workers=2", "curriculum.stages.low.steps=2", "curriculum.stages.high.steps=2", "eval.every=2"],
    "generate": ["steps=2", "workers=1"],
    "evaluate": ["workers=1"],
}


IN_ONE_SESSION = """
import shlex, sys
from framemill.jobs.cli import main
from framemill.platform.cluster import session
from framemill.platform.config import ClusterConfig
with session(ClusterConfig(), workers=2):
    for line in sys.argv[1:]:
        status = main(shlex.split(line))
        if status:
            sys.exit(f"{line}: exit status {status}")
"""


def commands(page: str = "README.md") -> list[list[str]]:
    """The words of every command line in the page's console blocks."""
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / page).read_text(), re.S)
    return [shlex.split(line[2:]) for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def test_make_has_the_targets_the_readme_names() -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M)
    named = [words[1] for words in commands() if words[0] == "make"]
    assert named and set(named) <= set(targets)


@pytest.mark.ray
def test_the_readme_runs(tmp_path: Path) -> None:
    """All commands in one process that runs in their folder, as the paths are relative, with one Ray session."""
    render_reel(str(tmp_path / "videos"), shots=12)
    (tmp_path / "prompts.txt").write_text("A red circle on a blue background.\n\nA green square.\n")
    jobs = [words for words in commands() if words[0] == "framemill"]
    assert [words[1] for words in jobs] == ["curate", "audit", "encode", "train", "generate", "evaluate", "status"]
    streaming = commands("docs/training.md")[:2]  # on what the README made; the others are for GPUs
    assert [words[1] for words in streaming] == ["train", "generate"]
    lines = [shlex.join([*words[1:], *SMALL.get(words[1], [])]) for words in [*jobs, *streaming]]
    result = subprocess.run(
        [sys.executable, "-c", IN_ONE_SESSION, *lines],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=len(lines) * JOB_S,
        check=False,
    )
    assert result.returncode == 0, f"{result.stdout[-3000:]}\n{result.stderr[-3000:]}"
    assert len(list((tmp_path / "samples").rglob("*.mp4"))) == 2
    minute = next((tmp_path / "minute").glob("*.mp4"))
    assert probe(str(minute)).duration == pytest.approx(481 / 8)


def test_the_pages_commands_are_understood() -> None:
    pages = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").rglob("*.md"))]
    commands_of_pages = [words for page in pages for words in commands(page)]
    assert len(commands_of_pages) >= 5
    for _, name, *words in commands_of_pages:
        configure(name, importlib.import_module(f"framemill.jobs.{name}"), words)
