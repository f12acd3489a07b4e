"""Install advice for missing packages: the extra of the distribution that requires a package."""

from __future__ import annotations

import importlib.metadata
import re

JOB_EXTRAS = {
    "curate": "curate",
    "encode": "train",
    "train": "train",
    "generate": "train",
    "convert": "train",
    "evaluate": "eval",
    "loop": "all",
    "demo": "all",
}
"""The extra with everything that a job can use, by job; the other jobs need no extra, or any extra is enough."""
DISTRIBUTIONS = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "faiss": "faiss-cpu",
    "open_clip": "open-clip-torch",
    "scenedetect": "scenedetect-headless",
}
"""The distribution that contains a module, by module, where the names differ."""


def missing_package(error: ImportError) -> str:
    """Returns the distribution whose absence caused the error, or "" if the error has another cause.

    fsspec raises a plain ImportError for a missing driver such as s3fs, with the ModuleNotFoundError as the cause.
    """
    cause = error if isinstance(error, ModuleNotFoundError) else error.__cause__
    module = (cause.name or "").partition(".")[0] if isinstance(cause, ModuleNotFoundError) else ""
    name = DISTRIBUTIONS.get(module, module)
    return name if _extras(name) else ""


def install_advice(job: str, package: str) -> str:
    """Returns a line with the pip command that installs a missing package for a user of `job`."""
    extras = _extras(package)
    wanted = JOB_EXTRAS.get(job, "")
    extra = wanted if wanted in (*extras, "all") else extras[0]
    return f"{job}: needs {package}, which is not installed: pip install 'framemill[{extra}]'"


def _extras(package: str) -> list[str]:
    """Returns the extras of the installed framemill that require a distribution, in the order of the metadata."""
    extras = []
    for requirement in importlib.metadata.requires("framemill") or []:
        name, extra = re.match(r"[\w.-]+", requirement), re.search(r"extra == ['\"](\w+)['\"]", requirement)
        if name and extra and name[0].lower().replace("_", "-") == package.lower():
            extras.append(extra[1])
    return extras
