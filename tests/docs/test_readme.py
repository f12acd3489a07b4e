"""The README's commands run in their order on a small reel, then those that docs/training.md builds upon them."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import pytest

from framemill.jobs.cli import configure, main
from framemill.platform.vision.reel import render_reel
from framemill.platform.vision.video import probe

ROOT = Path(__file__).resolve().parents[2]
SMALL = {  # what a test leaves out of a job so that it takes seconds
    "curate": ["workers=2"],
    "encode": ["workers=2"],
    "train": ["workers=2", "curriculum.stages.low.steps=2", "curriculum.stages.high.steps=2", "eval.every=2"],
    "generate": ["steps=2", "workers=1"],
    "evaluate": ["workers=1"],
}


def commands(page: str = "README.md") -> list[list[str]]:
    """The words of every command line in the page's console blocks."""
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / page).read_text(), re.S)
    return [shlex.split(line[2:]) for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def test_make_has_the_targets_the_readme_names() -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M)
    named = [words[1] for words in commands() if words[0] == "make"]
    assert named and set(named) <= set(targets)


def test_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ray_session: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each command in this process, so that all share one Ray session."""
    monkeypatch.chdir(tmp_path)
    render_reel(str(tmp_path / "videos"), shots=12)
    (tmp_path / "prompts.txt").write_text("A red circle on a blue background.\n\nA green square.\n")
    jobs = [words for words in commands() if words[0] == "framemill"]
    assert [words[1] for words in jobs] == ["curate", "audit", "encode", "train", "generate", "evaluate", "status"]
    streaming = commands("docs/training.md")[:2]  # on what the README made; the others are for GPUs
    assert [words[1] for words in streaming] == ["train", "generate"]
    for words in [*jobs, *streaming]:
        assert main([*words[1:], *SMALL.get(words[1], [])]) == 0, (words, capsys.readouterr())
    assert len(list((tmp_path / "samples").rglob("*.mp4"))) == 2
    minute = next((tmp_path / "minute").glob("*.mp4"))
    assert probe(str(minute)).duration == pytest.approx(481 / 8)


def test_the_pages_commands_are_understood() -> None:
    pages = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").rglob("*.md"))]
    commands_of_pages = [words for page in pages for words in commands(page)]
    assert len(commands_of_pages) >= 5
    for _, name, *words in commands_of_pages:
        configure(name, importlib.import_module(f"framemill.jobs.{name}"), words)
