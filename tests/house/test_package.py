"""`import framemill`: what it offers, that it loads nothing heavy, and that it works from an editable installation."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import framemill
from tests.support import source_tree

ROOT = source_tree.ROOT
SUBPACKAGES = sorted(name for name in source_tree.package_folders() if name != "framemill")
BUILD = "import sys; from setuptools import build_meta; build_meta.build_editable(sys.argv[1])"
USE = """
import importlib, importlib.resources, platform, site, sys
site.addsitedir(sys.argv[1])
import framemill
for name in sys.argv[2:]:
    importlib.import_module(name)
assert (importlib.resources.files("framemill.conf") / "curate.yaml").is_file()
print(framemill.__version__, framemill.__file__, framemill.platform.__path__[0], platform.python_version(), sep="\\n")
"""


def python(program: str, *words: str, cwd: Path = ROOT, path: str = "") -> subprocess.CompletedProcess[str]:
    """Runs a program in a new process, with `path` in place of this process's PYTHONPATH."""
    environment = {**os.environ, "PYTHONPATH": path or os.environ.get("PYTHONPATH", "")}
    command = [sys.executable, "-c", program, *words]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_the_version_is_the_projects() -> None:
    assert framemill.__version__ == source_tree.project()["project"]["version"]


def test_every_listed_name_is_there() -> None:
    assert dir(framemill) == sorted(framemill.__all__)
    assert all(getattr(framemill, name) for name in framemill.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        framemill.nothing  # noqa: B018


def test_importing_loads_nothing_heavy() -> None:
    program = "import sys, framemill; print(sorted({'numpy', 'pyarrow', 'ray', 'torch'} & sys.modules.keys()))"
    assert python(program).stdout == "[]\n"


def test_the_standard_librarys_platform_is_found_from_the_root() -> None:
    done = python("import framemill, platform, framemill.platform.errors; print(platform.python_version())")
    assert done.stdout.strip() == sys.version.split()[0], done.stderr


def test_an_editable_installation_works(tmp_path: Path) -> None:
    """The editable finder of setuptools is built from a copy of the tree and used without the checkout."""
    tree = tmp_path / "tree"
    for folder in source_tree.package_folders().values():
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    (tmp_path / "wheel").mkdir()
    built = python(BUILD, str(tmp_path / "wheel"), cwd=tree)
    assert built.returncode == 0, built.stderr
    zipfile.ZipFile(next((tmp_path / "wheel").glob("*.whl"))).extractall(tmp_path / "site")
    # The folder comes first, so that its .dist-info and finder win over those of this environment.
    done = python(USE, str(tmp_path / "site"), *SUBPACKAGES, cwd=tmp_path, path=str(tmp_path / "site"))
    assert done.returncode == 0, done.stderr
    version, package, platform_folder, python_version = done.stdout.splitlines()
    assert version == framemill.__version__ and python_version == sys.version.split()[0]
    assert package == str(tree / "package" / "__init__.py")
    assert platform_folder == str(tree / "platform")
