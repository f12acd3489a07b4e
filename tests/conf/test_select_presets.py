"""The presets of the curriculum's stages: each keeps fewer clips than the one before, and some of the same."""

import numpy as np

from framemill.data_filters.config import CurateConfig
from framemill.data_filters.ledger.clip_table import ClipTable
from framemill.data_filters.ledger.measured import MeasuredSources
from framemill.data_filters.ledger.parts import Part
from framemill.data_filters.select.best import keep_best
from framemill.data_filters.select.config import BestConfig
from framemill.data_filters.select.states import build_tables
from framemill.data_filters.sources.source import Source
from framemill.platform.compose import compose

SIZES = ((320, 180), (854, 480), (1280, 720), (1080, 1920))


def footage(count: int) -> MeasuredSources:
    """Sources of one clip, drawn with scores spread over what real footage has."""
    draw = np.random.default_rng(0)
    parts, rows = [], []
    for i in range(count):
        width, height = SIZES[i % len(SIZES)]
        scores = {
            "motion": draw.lognormal(2.5, 1.2),
            "saturation": draw.normal(110, 45),
            "technical": draw.uniform(0.2, 1),
            "black_bars": draw.choice([0.0, 0.0, 0.0, 0.05, 0.3]),
            "duplicates": draw.choice([0.0, 0.0, 0.1, 0.6]),
        }
        facts = {"key": f"k{i:05d}", "path": f"p{i:05d}", "start_s": 0.0, "end_s": 4.0}
        row = {**facts, "width": width, "height": height, **{name: float(x) for name, x in scores.items()}}
        rows.append(row)
        parts.append(Part(Source(row["path"], "", ""), row["key"], None, {"tags": [], "licence": None}))
    return MeasuredSources.of(parts, rows)


def kept(measured: MeasuredSources, preset: str) -> dict[str, dict]:
    config = compose("curate", CurateConfig, ["input=-", "output=-", f"select={preset}"])
    clips = build_tables(measured, 2.0, config.rules_by_stage([]))[1]
    keep_best(config.select.best, clips)
    return {clip["key"]: dict(clip) for clip in clips if clip["state"] == "kept"}


def test_each_stage_is_stricter_than_the_one_before() -> None:
    measured = footage(4000)
    stages = [kept(measured, f"stage_{size}") for size in ("192p", "480p", "720p")]
    assert stages[2].keys() < stages[1].keys() < stages[0].keys() and len(stages[2]) >= 50
    for stage, side in zip(stages, (192, 480, 720), strict=True):
        assert min(min(clip["width"], clip["height"]) for clip in stage.values()) >= side
    assert kept(measured, "sft").keys() <= stages[1].keys()


def of_classes(counts: dict[str, int]) -> ClipTable:
    """So many kept clips of each style, whose technical scores fall with their number."""
    rows = [
        {"key": f"{style}-{i:03d}", "technical": 1 - i / 1000, "motion": 5.0}
        for style, count in sorted(counts.items())
        for i in range(count)
    ]
    clips = ClipTable.of(rows)
    clips.put("state", ["kept"] * len(rows))
    clips.put("reason", [None] * len(rows))
    clips.put("provenance", [{"tags": ["news", row["key"].partition("-")[0]]} for row in rows])
    return clips


def test_the_best_are_balanced_over_classes() -> None:
    """Each class gives its best, as many as the others; what a small one lacks the others give."""
    clips = of_classes({"cartoon": 4, "cinematic": 40, "plain": 40})
    best = BestConfig(24, "technical", {"motion": [1.0, 9.0]}, {"style": ["cartoon", "cinematic"]})
    keep_best(best, clips)
    left = [clip["key"] for clip in clips if clip["state"] == "kept"]
    expected = [
        f"{name}-{i:03d}" for name, count in (("cartoon", 4), ("cinematic", 10), ("plain", 10)) for i in range(count)
    ]
    assert left == expected
    assert {str(clip.reason) for clip in clips if clip["state"] != "kept"} == {"not among the best 24 by technical"}


def test_with_one_class_the_best_are_the_highest_and_of_equals_the_first_keys() -> None:
    clips = of_classes({"a": 3, "b": 3})
    keep_best(BestConfig(3), clips)
    assert [clip["key"] for clip in clips if clip["state"] == "kept"] == ["a-000", "a-001", "b-000"]
    keep_best(BestConfig(9), clips)
    assert len([clip for clip in clips if clip["state"] == "kept"]) == 3
