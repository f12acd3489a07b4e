"""Curation: video in, measured and selected clips out as a dataset.

Names are imported when first used, so that reading a config loads neither Ray nor OpenCV.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from framemill.data_filters.config import CurateConfig
    from framemill.data_filters.pipeline import curate
    from framemill.data_filters.report.summary import CurateResult

__all__ = ["CurateConfig", "CurateResult", "curate"]

_HOMES = {"CurateConfig": "config", "CurateResult": "report.summary", "curate": "pipeline"}


def __getattr__(name: str) -> Any:
    """Imports a public name."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
