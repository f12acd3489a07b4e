"""The dimensions: one file, one class each. Importing a file registers it, so a new one is added to the last line."""

from framemill.eval.dimensions.base import CannotMeasure, Clip, Dimension, dimension_class, measurable, register

__all__ = ["CannotMeasure", "Clip", "Dimension", "dimension_class", "measurable", "register"]

from framemill.eval.dimensions import temporal_flickering as _temporal_flickering  # noqa: F401
