"""The rules of the house that a look at the tree can hold."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
FOLDERS = dict(PROJECT["tool"]["setuptools"]["package-dir"])
SOURCES = sorted(path for folder in FOLDERS.values() for path in (ROOT / folder).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

LONGEST_FILE = 400
DRAWERS = {"utils", "util", "helpers", "helper", "common", "misc"}
MODULE_NAME = re.compile(rf"framemill\.({'|'.join(FOLDERS.values())})[a-z_.]*(:\w+)?")
# What a package may import besides itself.
MAY_IMPORT = {
    "conf": set(),
    "platform": {"conf"},
    "data_filters": {"platform"},
    "training": {"platform"},
    "eval": {"platform"},
    "jobs": {"platform", "data_filters", "training", "eval", "conf"},
}


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every module a file imports, at whatever depth, with the line."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            # `from framemill import x` and `from framemill.eval import x` may both mean a module x.
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and MODULE_NAME.fullmatch(node.value):
            # A module named in a string, for a child process or a late import.
            yield node.value, node.lineno


def test_platform_does_not_shadow_the_standard_librarys() -> None:
    assert not (ROOT / "platform" / "__init__.py").exists()
    program = "import platform; print(platform.python_version())"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == sys.version.split()[0], done.stderr


@pytest.mark.parametrize("package", sorted(FOLDERS))
def test_imports_go_one_way(package: str) -> None:
    folder = FOLDERS[package]
    assert package == f"framemill.{folder}" and folder in MAY_IMPORT
    allowed = MAY_IMPORT[folder] | {folder}
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in SOURCES
        if path.is_relative_to(ROOT / folder)
        for module, line in imports(path)
        if module.startswith("framemill.") and module.split(".")[1] not in allowed
    ]
    assert not wrong


def test_the_model_owes_nothing_to_diffusers() -> None:
    model = [path for path in SOURCES if path.is_relative_to(ROOT / "training" / "model")]
    assert model
    assert not [f"{path.name}:{line}" for path in model for module, line in imports(path) if "diffusers" in module]


def test_every_folder_with_code_is_packaged() -> None:
    packaged = set(PROJECT["tool"]["setuptools"]["packages"])
    found = {".".join(("framemill", *path.parent.relative_to(ROOT).parts)) for path in SOURCES}
    assert found == packaged


def test_files_are_short_and_named_for_an_idea() -> None:
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in SOURCES + TESTS}
    assert not {str(path.relative_to(ROOT)): n for path, n in lengths.items() if n > LONGEST_FILE}
    assert not [str(path.relative_to(ROOT)) for path in SOURCES + TESTS if path.stem in DRAWERS]


def test_tests_mirror_the_folders() -> None:
    folders = {path.relative_to(ROOT / "tests").parts[0] for path in TESTS if path.parent != ROOT / "tests"}
    assert folders <= {*FOLDERS.values(), "house", "bench"}
    assert not list((ROOT / "tests").rglob("__init__.py"))
