"""Curation: video in, measured and selected clips out as a dataset."""

# `curate` is a function and the module that holds it. The module loads nothing heavy, and importing it here first is
# what leaves the function under the name.
from framemill.data_filters.config import CurateConfig
from framemill.data_filters.pipeline import curate
from framemill.data_filters.report.summary import CurateResult

__all__ = ["CurateConfig", "CurateResult", "curate"]
