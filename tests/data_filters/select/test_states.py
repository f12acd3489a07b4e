"""Selection is a pure function that loses no clip."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framemill.data_filters.ledger.clip_table import MeasuredSources
from framemill.data_filters.ledger.parts import Part
from framemill.data_filters.select.bounds import stage_rules
from framemill.data_filters.select.config import Band, SelectConfig
from framemill.data_filters.select.states import build_tables as settle_measured
from framemill.data_filters.select.states import check_conservation, finish_sources
from framemill.data_filters.sources.source import Source

SELECT = SelectConfig({"motion": Band(1.0, 10.0), "technical": Band(0.5, None)})
BANDS = [stage_rules(SELECT, ["motion", "technical"])]


def settle(parts, min_seconds=2.0, stages=BANDS):
    return settle_measured(MeasuredSources.of(parts), min_seconds, stages)


def clip(
    path: str = "a", number: int = 0, seconds: float = 3.0, motion: float | None = 5.0, technical: float = 0.6
) -> dict:
    return {
        "key": f"{path}-{number}",
        "path": path,
        "start_s": 1.0,
        "end_s": 1.0 + seconds,
        "motion": motion,
        "technical": technical,
    }


def part(path: str, source_id: str | None, clips: list[dict], reason: str | None = None) -> Part:
    return Part(Source(path, "/" + path, ""), source_id, reason, {"tags": [], "licence": None}, clips)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (clip(), ("kept", None)),
        (clip(seconds=2.0), ("kept", None)),
        (clip(seconds=1.9999), ("kept", None)),
        (clip(seconds=1.9), ("filtered", "shorter than 2 s")),
        (clip(motion=1.0), ("kept", None)),
        (clip(motion=0.999999), ("filtered", "motion below 1")),
        (clip(motion=10.000001), ("filtered", "motion above 10")),
        (clip(technical=0.4), ("filtered", "technical below 0.5")),
        (clip(motion=None), ("failed", "motion could not be measured")),
        (clip(motion=float("nan")), ("failed", "motion could not be measured")),
    ],
)
def test_verdicts(row, expected):
    decided = settle([part("a", "x", [row])])[1][0]
    assert (decided["state"], decided["reason"]) == expected


def test_copies_broken_files_and_sources_with_nothing_kept():
    parts = [
        part("b", "same", [clip("b")]),
        part("a", "same", [clip("a")]),
        part("c", "broken", [clip("c")], "breaks off"),
        part("d", "dull", [clip("d", 0, motion=0.0), clip("d", 1, seconds=1)]),
        part("e", "empty", [], "not a readable media file"),
        part("f", "empty", [], "not a readable media file"),
        part("g", None, [], "no permission to read it"),
    ]
    sources, clips = settle(parts)
    finish_sources(sources, clips)
    check_conservation(sources, clips)
    assert [(s["path"], s["state"], s["reason"], s["clips"]) for s in sources] == [
        ("a", "ok", None, 1),
        ("b", "duplicate", "the same content as a", 0),
        ("c", "failed", "breaks off", 1),
        ("d", "filtered", "motion below 1; shorter than 2 s", 2),
        ("e", "failed", "not a readable media file", 0),
        ("f", "failed", "not a readable media file", 0),
        ("g", "failed", "no permission to read it", 0),
    ]
    assert [c["state"] for c in clips if c["path"] == "c"] == ["kept"], "complete clips of a broken file stand"


def test_a_screened_source_is_filtered_and_its_copy_a_duplicate():
    still = [Part(Source(p, "/" + p, ""), "x", "a still picture", {}, [], screened=True) for p in ("b", "a")]
    sources, clips = settle(still)
    finish_sources(sources, clips)
    check_conservation(sources, clips)
    assert [(s["path"], s["state"], s["reason"], s["clips"]) for s in sources] == [
        ("a", "filtered", "a still picture", 0),
        ("b", "duplicate", "the same content as a", 0),
    ]


def test_a_source_whose_clips_cannot_be_packed_failed():
    sources, clips = settle([part("a", "x", [clip("a")])])
    clips[0].update(state="failed", reason="could not be packed: damaged")
    finish_sources(sources, clips)
    assert (sources[0]["state"], sources[0]["reason"]) == ("failed", "could not be packed: damaged")


scores = st.floats(0, 20) | st.none() | st.just(float("nan"))


@given(st.lists(st.tuples(st.integers(0, 5), st.lists(st.tuples(st.floats(0.1, 9), scores), max_size=4)), max_size=8))
def test_no_clip_is_lost_in_any_order(drawn):
    parts = [
        part(f"p{i}", f"content{content}", [clip(f"p{i}", n, s, m) for n, (s, m) in enumerate(found)])
        for i, (content, found) in enumerate(drawn)
    ]
    rows = settle(parts)
    finish_sources(*rows)
    check_conservation(*rows)
    backwards = settle(parts[::-1])
    finish_sources(*backwards)
    assert repr((backwards[0], list(backwards[1]))) == repr((rows[0], list(rows[1])))


def test_a_lost_clip_is_noticed():
    sources, _ = settle([part("a", "x", [clip("a", 0), clip("a", 1)])])
    _, fewer = settle([part("a", "x", [clip("a", 0)])])
    with pytest.raises(AssertionError):
        check_conservation(sources, fewer)
