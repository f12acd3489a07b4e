"""The wheel holds all of Framemill and imports without the checkout."""

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from framemill.platform.wheel import build_wheel, code_digest

ROOT = Path(__file__).resolve().parents[2]

IMPORT_ALL = """
import importlib, sys
folder, *modules = sys.argv[1:]
for name in modules:
    module = importlib.import_module(name)
    assert module.__file__.startswith(folder), f"{name} came from {module.__file__}"
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel unpacked, which for pure Python is an installation."""
    folder = tmp_path_factory.mktemp("site")
    zipfile.ZipFile(build_wheel(ROOT, tmp_path_factory.mktemp("wheels"))).extractall(folder)
    return folder


def installed_paths(ending: str) -> set[str]:
    """Paths inside an installed `framemill` of the tree's files whose name ends so: package/ is `framemill` itself."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    folders = [ROOT / folder for folder in project["tool"]["setuptools"]["package-dir"].values()]
    paths = {path.relative_to(ROOT).as_posix() for folder in folders for path in folder.rglob(f"*{ending}")}
    return {path.removeprefix("package/") for path in paths}


def test_nothing_is_lost(installed: Path) -> None:
    files = {path.relative_to(installed / "framemill").as_posix() for path in (installed / "framemill").rglob("*.*")}
    assert files == set().union(*map(installed_paths, (".py", ".typed", ".yaml", ".html", ".css", ".js")))
    assert "framemill = framemill.jobs.cli:main" in next(installed.glob("*.dist-info/entry_points.txt")).read_text()


@pytest.mark.slow
def test_every_module_imports(installed: Path) -> None:
    paths = sorted(path.relative_to(installed) for path in installed.rglob("*.py"))
    modules = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in paths]
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, str(installed), *modules],
        cwd=installed,
        env={**os.environ, "PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_same_tree_makes_the_same_code(installed: Path, tmp_path: Path) -> None:
    """The id of a submitted job rests on it."""
    zipfile.ZipFile(build_wheel(ROOT, tmp_path)).extractall(tmp_path / "again")
    assert code_digest(tmp_path / "again" / "framemill") == code_digest(installed / "framemill")
