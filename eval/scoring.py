"""Official totals of VBench and VBench-I2V, computed from the scores of single dimensions.

Each raw score is normalised: the range of values that its dimension takes in practice is mapped to 0..1. Normalised
scores are averaged with weights into groups, and the groups into a total. Ranges, weights and groups are taken from
`scripts/constant.py` and `scripts/cal_final_score.py` in Vchitect/VBench (revision 45e79ec); they reproduce the
published leaderboard rows.

There are two deliberate differences from the upstream script: a missing dimension raises, where upstream silently
counts it as 0, and a raw score outside 0..1 raises, since it is most often a percentage. As upstream, a normalised
score is not clamped, so a dimension far below its range can make the mean of its group negative.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


class ScoringError(ValueError):
    """Scores from which no total can be computed."""

    def __init__(self, message: str, dimensions: Iterable[str]) -> None:
        super().__init__(message)
        self.dimensions = tuple(dimensions)
        """Names of the dimensions that are wrong."""


class MissingDimensions(ScoringError):
    """Scores that lack dimensions which the total needs."""


class UnknownDimensions(ScoringError):
    """Scores with a name that is no dimension of the suite, or with two spellings of one dimension."""


@dataclass(frozen=True)
class DimensionGroup:
    """Dimensions that are averaged together."""

    dimensions: tuple[str, ...]
    weights: Mapping[str, float]
    """Weights by dimension; a dimension that is not listed has weight 1."""

    def mean(self, scores: Mapping[str, float]) -> float:
        """Returns the weighted mean of the normalised scores of the group.

        Args:
            scores: raw scores by dimension.
        """
        weights = [self.weights.get(name, 1.0) for name in self.dimensions]
        values = [_normalise(name, scores[name]) for name in self.dimensions]
        return sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)


_RANGES: Mapping[str, tuple[float, float]] = {
    "subject_consistency": (0.1462, 1.0),
    "background_consistency": (0.2615, 1.0),
    "temporal_flickering": (0.6293, 1.0),
    "motion_smoothness": (0.7060, 0.9975),
    "scene": (0.0, 0.8222),
    "appearance_style": (0.0009, 0.2855),
    "temporal_style": (0.0, 0.3640),
    "overall_consistency": (0.0, 0.3640),
    "i2v_subject": (0.1462, 1.0),
    "i2v_background": (0.2615, 1.0),
}
"""Lowest and highest raw score that a dimension takes in practice; 0..1 for a dimension that is not listed."""

VBENCH_QUALITY = DimensionGroup(
    (
        "subject_consistency",
        "background_consistency",
        "temporal_flickering",
        "motion_smoothness",
        "aesthetic_quality",
        "imaging_quality",
        "dynamic_degree",
    ),
    {"dynamic_degree": 0.5},
)
"""Quality dimensions of VBench. dynamic_degree has half weight, since motion alone is neither good nor bad."""
VBENCH_SEMANTIC = DimensionGroup(
    (
        "object_class",
        "multiple_objects",
        "human_action",
        "color",
        "spatial_relationship",
        "scene",
        "appearance_style",
        "temporal_style",
        "overall_consistency",
    ),
    {},
)
"""Semantic dimensions of VBench."""
I2V = DimensionGroup(("camera_motion", "i2v_subject", "i2v_background"), {"camera_motion": 0.1})
"""Dimensions of VBench-I2V that compare the video with its image and camera prompt."""
I2V_QUALITY = DimensionGroup(
    (
        "subject_consistency",
        "background_consistency",
        "motion_smoothness",
        "dynamic_degree",
        "aesthetic_quality",
        "imaging_quality",
    ),
    {"dynamic_degree": 0.5},
)
"""Quality dimensions of VBench-I2V."""
_I2V_OUTSIDE_TOTAL = ("temporal_flickering",)
"""Dimensions that VBench-I2V measures but leaves out of its total."""
_LEADERBOARD_NAMES = {
    "video_text_camera_motion": "camera_motion",
    "video_image_subject_consistency": "i2v_subject",
    "video_image_background_consistency": "i2v_background",
}
"""Names in result files of the three dimensions that the I2V leaderboard names differently."""


def _dimension_name(label: str) -> str:
    """Returns the name in result files for a leaderboard label: `Subject Consistency` -> `subject_consistency`."""
    name = label.strip().lower().replace(" ", "_").replace("-", "_")
    return _LEADERBOARD_NAMES.get(name, name)


def _normalise(dimension: str, score: float) -> float:
    """Returns a raw score with the range of its dimension mapped to 0..1, not clamped."""
    low, high = _RANGES.get(dimension, (0.0, 1.0))
    return (score - low) / (high - low)


def vbench_totals(scores: Mapping[str, float]) -> dict[str, float]:
    """Returns the official totals of VBench: {"quality", "semantic", "total"}, each in 0..1.

    total = (4 quality + semantic) / 5.

    Args:
        scores: raw scores in 0..1 of all 16 dimensions, named as in result files or on the leaderboard.

    Raises:
        MissingDimensions: a dimension has no score.
        UnknownDimensions: a name is no dimension of VBench, or two names are the same dimension.
        ScoringError: a score is not a number in 0..1.
    """
    checked = _check_scores(scores, VBENCH_QUALITY.dimensions + VBENCH_SEMANTIC.dimensions)
    quality, semantic = VBENCH_QUALITY.mean(checked), VBENCH_SEMANTIC.mean(checked)
    return {"quality": quality, "semantic": semantic, "total": (4 * quality + semantic) / 5}


def vbench_i2v_totals(scores: Mapping[str, float]) -> dict[str, float]:
    """Returns the official totals of VBench-I2V: {"i2v", "quality", "total"}, each in 0..1.

    total = (i2v + quality) / 2.

    Args:
        scores: raw scores in 0..1 of the nine dimensions in the total, named as in result files or on the
            leaderboard. temporal_flickering is accepted too and has no effect.

    Raises:
        MissingDimensions: a dimension has no score.
        UnknownDimensions: a name is no dimension of VBench-I2V, or two names are the same dimension.
        ScoringError: a score is not a number in 0..1.
    """
    checked = _check_scores(scores, I2V.dimensions + I2V_QUALITY.dimensions, optional=_I2V_OUTSIDE_TOTAL)
    i2v, quality = I2V.mean(checked), I2V_QUALITY.mean(checked)
    return {"i2v": i2v, "quality": quality, "total": (i2v + quality) / 2}


TOTALS = {"vbench": vbench_totals, "vbench_i2v": vbench_i2v_totals}
"""Function that computes the totals of each suite."""


def _check_scores(
    scores: Mapping[str, float], required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> dict[str, float]:
    """Returns the scores by their names in result files, after checking them."""
    checked: dict[str, float] = {}
    for label, score in scores.items():
        name = _dimension_name(label)
        if name not in required and name not in optional:
            raise UnknownDimensions(f"{label!r} must be a dimension of this suite: {', '.join(required)}", [label])
        if name in checked:
            raise UnknownDimensions(f"{name} is given twice, once as {label!r}", [name])
        if not (math.isfinite(score) and 0 <= score <= 1):
            raise ScoringError(f"{name}={score}: must be in 0..1 (not a percentage)", [name])
        checked[name] = float(score)
    missing = [name for name in required if name not in checked]
    if missing:
        raise MissingDimensions(f"no score for {', '.join(missing)}: a total needs every dimension", missing)
    return checked
