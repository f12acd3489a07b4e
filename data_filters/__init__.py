"""Curation: video in, measured and selected clips out as a dataset."""

# `curate` is a function and the module that holds it. The module loads nothing heavy, and importing it here first is
# what leaves the function under the name.
from framemill.data_filters.config import CurateConfig
from framemill.data_filters.curate import curate
from framemill.data_filters.summary import Summary

__all__ = ["CurateConfig", "Summary", "curate"]
