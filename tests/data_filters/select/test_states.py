"""Selection is a pure function that loses no clip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framemill.data_filters.ledger.clip_table import ClipTable
from framemill.data_filters.ledger.measured import MeasuredSources
from framemill.data_filters.ledger.parts import Part
from framemill.data_filters.ledger.reasons import Cause, Reason
from framemill.data_filters.ledger.source_row import SourceRow
from framemill.data_filters.ledger.tables import check_conservation
from framemill.data_filters.select.bounds import stage_rules
from framemill.data_filters.select.config import Band, SelectConfig
from framemill.data_filters.select.states import build_tables, finish_sources
from framemill.data_filters.sources.source import Source

SELECT = SelectConfig({"motion": Band(1.0, 10.0), "technical": Band(0.5, None)})
BANDS = [stage_rules(SELECT, ["motion", "technical"])]


Measured = tuple[Part, list[dict[str, Any]]]


def tables(measured: Sequence[Measured]) -> tuple[list[SourceRow], ClipTable]:
    """Both ledger tables of some sources and their clips."""
    parts = [part for part, _ in measured]
    return build_tables(MeasuredSources.of(parts, [row for _, rows in measured for row in rows]), 2.0, BANDS)


def clip(
    path: str = "a", number: int = 0, seconds: float = 3.0, motion: float | None = 5.0, technical: float = 0.6
) -> dict[str, Any]:
    return {
        "key": f"{path}-{number}",
        "path": path,
        "start_s": 1.0,
        "end_s": 1.0 + seconds,
        "motion": motion,
        "technical": technical,
    }


def part(path: str, source_id: str | None, clips: list[dict[str, Any]], error: str = "") -> Measured:
    reason = Reason(Cause.UNREADABLE, detail=error) if error else None
    return Part(Source(path, "/" + path, ""), source_id, reason, {"tags": [], "licence": None}), clips


def text(reason: Reason | None) -> str | None:
    return str(reason) if reason else None


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
def test_the_first_check_that_rejects_gives_state_and_reason(
    row: dict[str, Any], expected: tuple[str, str | None]
) -> None:
    decided = tables([part("a", "x", [row])])[1][0]
    assert (decided.state, text(decided.reason)) == expected


def test_copies_broken_files_and_sources_with_nothing_kept() -> None:
    parts = [
        part("b", "same", [clip("b")]),
        part("a", "same", [clip("a")]),
        part("c", "broken", [clip("c")], "breaks off"),
        part("d", "dull", [clip("d", 0, motion=0.0), clip("d", 1, seconds=1)]),
        part("e", "empty", [], "not a readable media file"),
        part("f", "empty", [], "not a readable media file"),
        part("g", None, [], "no permission to read it"),
    ]
    sources, clips = tables(parts)
    sources = finish_sources(sources, clips)
    check_conservation(sources, clips)
    assert [(s.path, s.state, text(s.reason), s.clips) for s in sources] == [
        ("a", "ok", None, 1),
        ("b", "duplicate", "the same content as a", 0),
        ("c", "failed", "breaks off", 1),
        ("d", "filtered", "motion below 1; shorter than 2 s", 2),
        ("e", "failed", "not a readable media file", 0),
        ("f", "failed", "not a readable media file", 0),
        ("g", "failed", "no permission to read it", 0),
    ]
    assert [c.state for c in clips if c.path == "c"] == ["kept"], "complete clips of a broken file stand"


def test_a_prefiltered_source_is_filtered_and_its_copy_a_duplicate() -> None:
    reason = Reason(Cause.PREFILTERED, detail="a still picture")
    sources, clips = tables([(Part(Source(path, "/" + path, ""), "x", reason, {}), []) for path in ("b", "a")])
    sources = finish_sources(sources, clips)
    check_conservation(sources, clips)
    assert [(s.path, s.state, text(s.reason), s.clips) for s in sources] == [
        ("a", "filtered", "a still picture", 0),
        ("b", "duplicate", "the same content as a", 0),
    ]


def test_a_source_whose_clips_cannot_be_packed_failed() -> None:
    sources, clips = tables([part("a", "x", [clip("a")])])
    clips[0].reject("failed", Reason(Cause.NOT_PACKED, detail="damaged"))
    sources = finish_sources(sources, clips)
    assert (sources[0].state, text(sources[0].reason)) == ("failed", "could not be packed: damaged")


scores = st.floats(0, 20) | st.none() | st.just(float("nan"))


@given(st.lists(st.tuples(st.integers(0, 5), st.lists(st.tuples(st.floats(0.1, 9), scores), max_size=4)), max_size=8))
def test_no_clip_is_lost_in_any_order(drawn: list[tuple[int, list[tuple[float, float | None]]]]) -> None:
    parts = [
        part(f"p{i}", f"content{content}", [clip(f"p{i}", n, s, m) for n, (s, m) in enumerate(lengths)])
        for i, (content, lengths) in enumerate(drawn)
    ]
    sources, clips = tables(parts)
    sources = finish_sources(sources, clips)
    check_conservation(sources, clips)
    backwards, same_clips = tables(parts[::-1])
    assert repr((finish_sources(backwards, same_clips), list(same_clips))) == repr((sources, list(clips)))


def test_a_lost_clip_is_noticed() -> None:
    sources, _ = tables([part("a", "x", [clip("a", 0), clip("a", 1)])])
    _, fewer = tables([part("a", "x", [clip("a", 0)])])
    with pytest.raises(AssertionError):
        check_conservation(sources, fewer)
