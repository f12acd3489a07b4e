"""Bounds of sets and quantiles, against another way of counting the clips that they reject."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framemill.data_filters.ledger.measured import MeasuredSources
from framemill.data_filters.ledger.parts import Part
from framemill.data_filters.ledger.reasons import Cause
from framemill.data_filters.select.bounds import Rule, lower_bound, quantile, stage_rules, upper_bound
from framemill.data_filters.select.config import Band, SelectConfig, SourceSet
from framemill.data_filters.select.states import build_tables
from framemill.data_filters.sources.source import Source
from framemill.platform.compose import compose
from framemill.platform.errors import RequestError

few = st.lists(st.integers(0, 6).map(float), min_size=1, max_size=60)
shares = st.integers(0, 100).map(lambda percent: percent / 100)


@given(few, shares)
def test_a_quantile_drops_as_many_as_it_says_but_none_of_those_alike(values: list[float], share: float) -> None:
    """Against sorting: the clip after the lowest floor(share * n) clips is the first that is kept."""
    bound = lower_bound(Rule(Band(min_quantile=share)), np.array(values)).value
    percent = round(100 * share)
    assert bound == sorted(values)[min(len(values) - 1, percent * len(values) // 100)]
    dropped = sum(value < bound for value in values)
    assert dropped <= share * len(values) + 1e-9
    assert bound == quantile(np.array(values[::-1]), share), "the order of clips does not count"
    mirrored = upper_bound(Rule(Band(max_quantile=1 - share)), -np.array(values)).value
    assert mirrored == -bound


def test_the_stricter_of_value_and_quantile_holds_and_is_named() -> None:
    values = np.arange(100.0)
    rules = [
        str(lower_bound(Rule(band, name), values).reason(Cause.BELOW, "motion"))
        for band, name in (
            (Band(min=10, min_quantile=0.2), ""),
            (Band(min=30, min_quantile=0.2), ""),
            (Band(min=10, min_quantile=0.2), "anime"),
            (Band(min=30), "anime"),
        )
    ]
    assert rules == [
        "motion below 20 (20 % quantile)",
        "motion below 30",
        "motion below 20 (20 % quantile of set anime)",
        "motion below 30 (set anime)",
    ]
    upper = upper_bound(Rule(Band(max_quantile=0.95)), values).reason(Cause.ABOVE, "s")
    assert str(upper) == "s above 94 (95 % quantile)" and upper.bound == 94
    assert lower_bound(Rule(Band(min_quantile=0.2)), np.empty(0)) is None


def decide(
    select: SelectConfig,
    clips: dict[str, list[float]],
    tags: dict[str, list[str]],
    stages: list[list[str]] | None = None,
) -> dict[str, list[str | None]]:
    """Returns {path: reasons of its clips} for clips of 3 s with score `motion` and `late`, which is twice `motion`."""
    parts: list[Part] = []
    rows: list[dict[str, Any]] = []
    for path, scores in clips.items():
        rows += [
            {"key": f"{path}-{i}", "path": path, "start_s": 0.0, "end_s": 3.0, "motion": score, "late": 2 * score}
            for i, score in enumerate(scores)
        ]
        provenance = {"tags": tags.get(path, []), "licence": None}
        parts.append(Part(Source(path, "", ""), f"id {path}", None, provenance))
    rules = [stage_rules(select, names) for names in stages or [["motion"]]]
    table = build_tables(MeasuredSources.of(parts, rows), 2.0, rules)[1]
    return {path: [clip.reason and str(clip.reason) for clip in table if clip.path == path] for path in clips}


def test_a_set_overrides_the_general_band_by_path_or_tag() -> None:
    select = SelectConfig(
        {"motion": Band(5.0, 50.0)},
        {
            "slow": SourceSet(paths=["slow/*"], bands={"motion": Band(1.0)}),
            "toon": SourceSet(tags=["cartoon*"], bands={"motion": Band(min_quantile=0.5)}),
            "bare": SourceSet(paths=["*"], bands={}),
        },
    )
    clips = {"slow/a": [0.5, 2.0, 80.0], "b": [2.0, 60.0, 9.0], "c": [1.0, 2.0], "slow/d": [2.0]}
    tags = {"c": ["cartoons"], "slow/d": ["cartoon"]}
    assert decide(select, clips, tags) == {
        "slow/a": ["motion below 1 (set slow)", None, None],
        "b": ["motion below 5", "motion above 50", None],
        "c": ["motion below 2 (50 % quantile of set toon)", None],
        "slow/d": [None],
    }


def test_a_quantile_is_of_the_clips_of_its_set_that_the_stages_before_left() -> None:
    """A network scores only clips that pass the decode pass: scores of further clips in a ledger change nothing."""
    select = SelectConfig({"motion": Band(min=3.0), "late": Band(min_quantile=0.5)})
    clips = {"a": [float(i) for i in range(8)]}
    reasons = decide(select, clips, {}, [["motion"], ["late"]])["a"]
    assert reasons == ["motion below 3"] * 3 + ["late below 10 (50 % quantile)"] * 2 + [None] * 3
    together = decide(select, clips, {}, [["motion", "late"]])["a"]
    assert together == ["motion below 3"] * 3 + ["late below 8 (50 % quantile)"] + [None] * 4


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("select.bands.motion={min_quantile: 2}", r"min_quantile=2\.0: must be from 0 to 1"),
        ("select.bands.nothing={min: 1}", r"^select\.bands\.nothing: nothing measures nothing; must be one of motion"),
        ("select.sets.a={paths: ['*'], bands: {odd: {min: 1}}}", r"^select\.sets\.a\.bands\.odd"),
        ("select.sets.a={bands: {motion: {min: 1}}}", r"^select\.sets\.a: must have paths or tags"),
        ("select.best.clips=3; select.best.by=odd", r"^select\.best\.by: nothing measures odd"),
        ("select.sets.a={path: ['*']}", "path"),
    ],
)
def test_wrong_bounds_are_refused(word: str, message: str) -> None:
    from framemill.data_filters.config import CurateConfig

    with pytest.raises(RequestError, match=message):
        compose("curate", CurateConfig, ["input=-", "output=-", *word.split("; ")])


def test_a_set_is_given_on_the_command_line() -> None:
    from framemill.data_filters.config import CurateConfig

    words = ["input=-", "output=-", "select.sets.anime={paths: ['anime/*'], bands: {technical: {min_quantile: 0.2}}}"]
    sets = compose("curate", CurateConfig, words).select.sets
    assert sets == {"anime": SourceSet(["anime/*"], [], {"technical": Band(min_quantile=0.2)})}
