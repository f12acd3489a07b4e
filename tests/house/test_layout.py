"""The rules of the folders: who imports whom, what a file is called and how long it is, where its test is."""

import subprocess
import sys

import pytest

from tests.support import source_tree
from tests.support.source_tree import ROOT

FOLDERS = source_tree.package_folders()
FILES = source_tree.module_files()
SOURCES = sorted(FILES.values())
TESTS = source_tree.test_files()

LONGEST_FILE = 400
DRAWERS = {"utils", "util", "helpers", "helper", "common", "misc"}
MAY_IMPORT = {
    "conf": set(),
    "platform": {"conf"},
    "data_filters": {"platform"},
    "training": {"platform"},
    "eval": {"platform"},
    "jobs": {"platform", "data_filters", "training", "eval", "conf"},
    "package": {"platform", "data_filters", "training", "eval", "jobs", "conf"},
}
"""By folder, the folders that its modules may import besides their own."""
WITHOUT_MODULES = {"bench", "examples", "compatibility", "conf", "docs", "fixtures", "house", "support"}
"""Folders of tests/ whose files are not named after modules of the package."""


def test_platform_does_not_shadow_the_standard_librarys() -> None:
    assert not (ROOT / "platform" / "__init__.py").exists()
    program = "import platform; print(platform.python_version())"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == sys.version.split()[0], done.stderr


@pytest.mark.parametrize("package", sorted(FOLDERS))
def test_imports_go_one_way(package: str) -> None:
    folder = FOLDERS[package]
    assert package in (f"framemill.{folder}", "framemill") and folder in MAY_IMPORT
    allowed = MAY_IMPORT[folder] | {folder}
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in SOURCES
        if path.is_relative_to(ROOT / folder)
        for module, line in source_tree.imported_names(path)
        if module.startswith("framemill.") and module.split(".")[1] not in allowed
    ]
    assert not wrong


def test_the_model_owes_nothing_to_diffusers() -> None:
    model = [path for path in SOURCES if path.is_relative_to(ROOT / "training" / "model")]
    assert model
    names = [(path.name, line, name) for path in model for name, line in source_tree.imported_names(path)]
    assert not [f"{file}:{line}" for file, line, name in names if name.partition(".")[0] == "diffusers"]


def test_no_import_is_relative() -> None:
    every = [(path, name, line) for path in SOURCES + TESTS for name, line in source_tree.imported_names(path)]
    assert not [f"{path}:{line}" for path, name, line in every if name.startswith(".")]


def test_every_folder_with_code_is_packaged() -> None:
    packaged = set(source_tree.project()["tool"]["setuptools"]["packages"])
    names = {name if path.stem == "__init__" else name.rpartition(".")[0] for name, path in FILES.items()}
    assert names == packaged


def test_files_are_short_and_named_for_an_idea() -> None:
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in SOURCES + TESTS}
    assert not {str(path.relative_to(ROOT)): n for path, n in lengths.items() if n > LONGEST_FILE}
    assert not [str(path.relative_to(ROOT)) for path in SOURCES + TESTS if path.stem in DRAWERS]


def test_tests_mirror_the_modules() -> None:
    """tests/<folder>/test_<module>.py or test_<module>_<aspect>.py is about <folder>/<module>.py."""
    wrong = []
    for path in TESTS:
        folder = path.relative_to(ROOT / "tests").parent
        if path.name.startswith("test_") and folder.parts[0] not in WITHOUT_MODULES:
            words = path.stem.split("_")[1:]
            names = ["_".join(words[:count]) for count in range(1, len(words) + 1)]
            if not any((ROOT / folder / f"{name}.py").exists() for name in names):
                wrong.append(path.relative_to(ROOT).as_posix())
    assert not wrong
