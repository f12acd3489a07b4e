"""Copying Framemill's own code to a folder that another machine can import.

The code of a checkout is built into a wheel, so that the folder has exactly the files of a release, and the wheel is
unpacked; the files of an installed Framemill are copied. Ray also accepts a wheel, but runs `pip install` on it, which
needs network access for dependencies that the cluster already has, and pip, which uv's environments lack.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

from framemill.platform.errors import FramemillError

_NAME = "framemill"
_BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"


def _checkout() -> Path | None:
    """Returns the root of the checkout that this code runs from, or None if it runs from an installed package."""
    root = Path(__file__).resolve().parents[1]
    return root if (root / "pyproject.toml").is_file() else None


def build_wheel(root: Path, folder: Path) -> Path:
    """Builds the wheel of the checkout `root` into `folder` and returns its path.

    The build runs on a copy, since setuptools leaves build folders behind, from which later builds would pack deleted
    files.

    Raises:
        FramemillError: the build failed; the message contains the last line of its output.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    folders = project["tool"]["setuptools"]["package-dir"].values()
    with tempfile.TemporaryDirectory(prefix="framemill-build-") as build:
        for name in folders:
            shutil.copytree(root / name, Path(build, name), ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", project["project"]["readme"], "LICENSE"):
            if (root / name).is_file():
                shutil.copy(root / name, build)
        command = [sys.executable, "-c", _BUILD, str(folder.resolve())]
        done = subprocess.run(command, cwd=build, capture_output=True, text=True, check=False)
    if done.returncode:
        raise FramemillError(f"the wheel of {root} does not build: {done.stderr.strip().splitlines()[-1]}")
    return next(folder.glob(f"{_NAME}-*.whl"))


def unpack_code(folder: Path) -> str:
    """Copies the package and its metadata into `folder`, for use on a Python path, and returns the code's digest."""
    root = _checkout()
    if root:
        with tempfile.TemporaryDirectory(prefix="framemill-wheel-") as wheels:
            zipfile.ZipFile(build_wheel(root, Path(wheels))).extractall(folder)
    else:
        for file in importlib.metadata.distribution(_NAME).files or []:
            if file.parts[0].startswith(_NAME) and file.suffix != ".pyc":
                target = folder / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(str(file.locate()), target)
    return code_digest(folder / _NAME)


def code_digest(package: Path) -> str:
    """Returns the sha256 over the relative paths and contents of all files of a package folder, hex."""
    total = hashlib.sha256()
    for path in sorted(path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"):
        total.update(f"{path.relative_to(package).as_posix()}\0{path.stat().st_size}\0".encode())
        total.update(path.read_bytes())
    return total.hexdigest()
