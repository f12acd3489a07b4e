"""mypy finds nothing in the package, checked in the tree itself.

`make lint` runs this file by name; its cache makes all runs but the first short.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import source_tree
from tests.support.source_tree import ROOT

CACHE = ROOT / ".mypy_cache"


def link_package(folder: Path) -> None:
    """Fills `folder` with symbolic links that make `framemill` of the folders of the tree, as its wheel does."""
    folder.mkdir(parents=True, exist_ok=True)
    for link in folder.iterdir():
        link.unlink()
    for package, name in source_tree.package_folders().items():
        if "." in package:
            (folder / name).symlink_to(ROOT / name)
        else:
            for file in (ROOT / name).iterdir():
                if file.is_file():
                    (folder / file.name).symlink_to(file)


@pytest.mark.slow
def test_the_package_type_checks() -> None:
    tree = CACHE / "tree"
    link_package(tree / "framemill")
    options = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(CACHE), "--explicit-package-bases"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "-p", "framemill"],
        cwd=tree,
        env={**os.environ, "MYPYPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
