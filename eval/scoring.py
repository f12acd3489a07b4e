"""The official totals of VBench and VBench-I2V, from scores of single dimensions.

A raw score is first stretched from the range its dimension is known to take to 0..1, then averaged with its weight
into a group, and the groups into a total. Ranges, weights and groups are those of `scripts/constant.py` and
`scripts/cal_final_score.py` in Vchitect/VBench (revision 45e79ec); they reproduce the published leaderboard rows.

Two deliberate differences from the upstream script: a missing dimension raises, where upstream counts it as 0 without
a word, and a score outside 0..1 raises (it is most often a percentage). As upstream, a normalised score is not
clamped, so a dimension far below its range pulls its group below 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


class ScoringError(ValueError):
    """The scores given do not make a total. `dimensions` names the ones at fault."""

    def __init__(self, message: str, dimensions: Iterable[str]) -> None:
        super().__init__(message)
        self.dimensions = tuple(dimensions)


class MissingDimensions(ScoringError):
    """A total needs dimensions that were not given."""


class UnknownDimensions(ScoringError):
    """Names that are no dimension of the suite, or one dimension under two spellings."""


@dataclass(frozen=True)
class Group:
    """Dimensions averaged together; those not in `weights` weigh 1."""

    dimensions: tuple[str, ...]
    weights: Mapping[str, float]

    def mean(self, scores: Mapping[str, float]) -> float:
        """Weighted mean of the normalised scores of this group's dimensions."""
        weights = [self.weights.get(name, 1.0) for name in self.dimensions]
        values = [normalise(name, scores[name]) for name in self.dimensions]
        return sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)


# Raw scores of a dimension lie in this range in practice; those not listed use 0..1.
RANGES: Mapping[str, tuple[float, float]] = {
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

# Moving is neither good nor bad by itself, so dynamic_degree counts half.
VBENCH_QUALITY = Group(
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
VBENCH_SEMANTIC = Group(
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
I2V = Group(("camera_motion", "i2v_subject", "i2v_background"), {"camera_motion": 0.1})
I2V_QUALITY = Group(
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
# VBench-I2V measures flicker too, but its total leaves it out.
I2V_OUTSIDE_TOTAL = ("temporal_flickering",)

# How the I2V leaderboard writes the names of its three own dimensions.
LEADERBOARD_NAMES = {
    "video_text_camera_motion": "camera_motion",
    "video_image_subject_consistency": "i2v_subject",
    "video_image_background_consistency": "i2v_background",
}


def dimension_name(label: str) -> str:
    """The name a result file uses for a leaderboard label: `Subject Consistency` -> `subject_consistency`."""
    name = label.strip().lower().replace(" ", "_").replace("-", "_")
    return LEADERBOARD_NAMES.get(name, name)


def normalise(dimension: str, score: float) -> float:
    """A raw score stretched from its dimension's range to 0..1, not clamped."""
    low, high = RANGES.get(dimension, (0.0, 1.0))
    return (score - low) / (high - low)


def vbench_totals(scores: Mapping[str, float]) -> dict[str, float]:
    """Totals of the 16 text-to-video dimensions.

    `scores` maps a dimension, as written in result files or on the leaderboard, to its raw score in 0..1. Returns
    {"quality", "semantic", "total"}, each in 0..1, with total = (4 quality + semantic) / 5. Raises MissingDimensions,
    UnknownDimensions, or ScoringError for a score that is no number in 0..1.
    """
    known = _checked(scores, VBENCH_QUALITY.dimensions + VBENCH_SEMANTIC.dimensions)
    quality, semantic = VBENCH_QUALITY.mean(known), VBENCH_SEMANTIC.mean(known)
    return {"quality": quality, "semantic": semantic, "total": (4 * quality + semantic) / 5}


def vbench_i2v_totals(scores: Mapping[str, float]) -> dict[str, float]:
    """Totals of the nine image-to-video dimensions that count; temporal_flickering may be given and does not.

    As vbench_totals, with {"i2v", "quality", "total"} and total = (i2v + quality) / 2.
    """
    known = _checked(scores, I2V.dimensions + I2V_QUALITY.dimensions, outside=I2V_OUTSIDE_TOTAL)
    i2v, quality = I2V.mean(known), I2V_QUALITY.mean(known)
    return {"i2v": i2v, "quality": quality, "total": (i2v + quality) / 2}


TOTALS = {"vbench": vbench_totals, "vbench_i2v": vbench_i2v_totals}


def _checked(scores: Mapping[str, float], required: tuple[str, ...], outside: tuple[str, ...] = ()) -> dict[str, float]:
    """`scores` under their result-file names, once all that `required` names are there and sound."""
    known: dict[str, float] = {}
    for label, score in scores.items():
        name = dimension_name(label)
        if name not in required and name not in outside:
            raise UnknownDimensions(f"{label!r} is no dimension of this suite: {', '.join(required)}", [label])
        if name in known:
            raise UnknownDimensions(f"{name} is given twice, once as {label!r}", [name])
        if not (math.isfinite(score) and 0 <= score <= 1):
            raise ScoringError(f"{name} is {score}: a raw score lies in 0..1 (not a percentage)", [name])
        known[name] = float(score)
    missing = [name for name in required if name not in known]
    if missing:
        raise MissingDimensions(f"no score for {', '.join(missing)}: a total needs every dimension", missing)
    return known
