"""With only the core's dependencies the library imports, and a job whose extra is missing says so in one line.

The other distributions are hidden from a child process by an import hook, so nothing is installed or removed.
"""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from framemill.jobs.extras import JOB_EXTRAS, install_advice, missing_package

HIDE = """
import sys
hidden = set(sys.argv.pop(1).split(","))
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hide())
"""


@cache
def modules_of_extras() -> str:
    """The top-level modules that an installation without extras lacks, joined by commas."""
    waiting, distributions = ["framemill"], set()
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in distributions:
            continue
        try:
            requirements = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # needed on another platform only
        distributions.add(name)
        waiting += [re.match(r"[\w.-]+", line)[0] for line in requirements if "extra ==" not in line]
    return ",".join(
        module
        for module, owners in importlib.metadata.packages_distributions().items()
        if not {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners} & distributions
    )


def with_core_only(program: str, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a program in a process that can import the core's dependencies and no others."""
    command = [sys.executable, "-c", HIDE + program, modules_of_extras(), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, timeout=120)


def test_the_core_reads_datasets_totals_scores_and_checks_configs(tmp_path: Path) -> None:
    program = """
import framemill
from framemill.data_filters import CurateConfig
from framemill.eval import vbench_i2v_totals, vbench_totals
from framemill.platform.compose import compose
from framemill.platform.errors import RequestError
from framemill.training import TrainConfig
assert compose("train", TrainConfig, ["data=x", "output=y"]).data == "x"
try:
    framemill.open_dataset("nowhere")
except RequestError as error:
    print(framemill.__version__, error)
"""
    result = with_core_only(program, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{importlib.metadata.version('framemill')} nowhere: no dataset here (no index.json)\n"


@pytest.mark.parametrize(
    ("words", "package"),
    [
        (["curate", "input=videos", "output=dataset"], "av"),
        (["encode", "input=dataset", "output=latents"], "opencv-python-headless"),
        (["generate", "model=videos", "prompts=prompts.txt", "output=samples"], "opencv-python-headless"),
    ],
)
def test_a_job_without_its_extra_names_it_in_one_line(tmp_path: Path, words: list[str], package: str) -> None:
    (tmp_path / "videos").mkdir()
    result = with_core_only("from framemill.jobs.cli import main; sys.exit(main(sys.argv[1:]))", *words, cwd=tmp_path)
    advice = f"pip install 'framemill[{JOB_EXTRAS[words[0]]}]'"
    assert result.returncode == 1
    assert result.stderr == f"framemill: {words[0]}: needs {package}, which is not installed: {advice}\n"


def test_the_extra_is_the_jobs_own_if_it_has_the_package() -> None:
    assert install_advice("train", "deepspeed").endswith("'framemill[train]'")
    assert install_advice("evaluate", "opencv-python-headless").endswith("'framemill[eval]'")
    assert install_advice("curate", "s3fs").endswith("'framemill[s3]'")
    assert install_advice("demo", "av").endswith("'framemill[all]'")


def test_only_packages_of_an_extra_are_named() -> None:
    assert missing_package(ModuleNotFoundError("", name="cv2.dnn")) == "opencv-python-headless"
    assert missing_package(ModuleNotFoundError("", name="a_module_of_nobody")) == ""
    assert missing_package(ImportError("cannot import name 'x'", name="torch")) == ""
    wrapped = ImportError("Install s3fs to access S3")
    wrapped.__cause__ = ModuleNotFoundError("", name="s3fs")
    assert missing_package(wrapped) == "s3fs"


def test_every_job_of_the_table_has_its_extra() -> None:
    metadata = importlib.metadata.metadata("framemill").get_all("Provides-Extra")
    assert metadata and set(JOB_EXTRAS.values()) <= set(metadata)
