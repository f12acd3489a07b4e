"""Framemill: raw video to a trained and scored video model.

Each job of the command line is a function that takes the command's keys as keywords, and `open_dataset` reads what
`curate` and `encode` write:

    import framemill

    framemill.curate(input="videos", output="dataset")
    clips = framemill.open_dataset("dataset").to_pandas()

Nothing heavy is loaded until a name is used.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from framemill.data_filters import curate
    from framemill.eval import evaluate
    from framemill.platform.audit import audit
    from framemill.platform.dataset import Dataset
    from framemill.training import convert, encode, generate, train

    __version__: str

__all__ = [
    "__version__",
    "audit",
    "convert",
    "curate",
    "encode",
    "evaluate",
    "generate",
    "open_dataset",
    "train",
]

_JOB_MODULES = {
    "audit": "framemill.platform.audit",
    "convert": "framemill.training",
    "curate": "framemill.data_filters",
    "encode": "framemill.training",
    "evaluate": "framemill.eval",
    "generate": "framemill.training",
    "train": "framemill.training",
}
"""The module that each job's function is imported from."""

# In a checkout the subpackages are the folders next to this one. setuptools' editable finder cannot supply
# framemill.platform, which has no __init__.py (setuptools 84.2: _EditableFinder looks for that file and stops).
_FOLDER = Path(__file__).parent
if not (_FOLDER / "platform").is_dir():
    __path__.append(str(_FOLDER.parent))


def open_dataset(path: str) -> Dataset:
    """Opens the dataset in a folder or at a URI, such as `curate` and `encode` write.

    The dataset has `len`, yields its samples when iterated, and gives its table as `to_arrow()` or `to_pandas()`.

    Raises:
        RequestError: there is no complete dataset, or its format is newer than this version reads.
    """
    from framemill.platform.dataset import Dataset

    return Dataset.open(path)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.metadata.version("framemill")
    if name not in _JOB_MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_JOB_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
