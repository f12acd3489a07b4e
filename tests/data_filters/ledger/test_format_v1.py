"""Sentences of format version 1 are parsed to the reasons that wrote them."""

from __future__ import annotations

import pyarrow as pa
import pytest

from framemill.data_filters.ledger.format_v1 import (
    clip_reason,
    packing_reason,
    part_reason,
    source_reason,
    upgraded_clips,
    upgraded_sources,
)
from framemill.data_filters.ledger.reasons import REASON_FIELDS, Cause, Reason
from tests.data_filters.ledger.test_reasons import SENTENCES

OF_SOURCES = {Cause.SAME_CONTENT, Cause.EXCLUDED, Cause.PREFILTERED, Cause.UNREADABLE, Cause.SIDECAR}
OF_SOURCES |= {Cause.NO_CLIP, Cause.NONE_KEPT}
FAILED = {Cause.UNMEASURED, Cause.NOT_JOINED, Cause.UNREADABLE_FOR_SCORES, Cause.NOT_FINITE}
FAILED |= {Cause.UNREADABLE_FOR_CAPTION, Cause.NOT_PACKED}
DUPLICATE = {Cause.NEAR_DUPLICATE, Cause.SEMANTIC_DUPLICATE}


@pytest.mark.parametrize(("reason", "sentence"), [row for row in SENTENCES if row[0].cause not in OF_SOURCES])
def test_a_clips_sentence(reason: Reason, sentence: str) -> None:
    state = "failed" if reason.cause in FAILED else "duplicate" if reason.cause in DUPLICATE else "filtered"
    assert clip_reason(state, sentence) == reason


@pytest.mark.parametrize("score", ["near", "shorter", "caption", "not", "could", "dropped"])
def test_a_score_with_the_first_word_of_another_sentence(score: str) -> None:
    assert clip_reason("filtered", f"{score} below 0.5") == Reason(Cause.BELOW, score, 0.5)
    assert clip_reason("failed", f"{score} could not be measured") == Reason(Cause.UNMEASURED, score)
    assert clip_reason("duplicate", "near duplicate of k, distance 3").cause is Cause.NEAR_DUPLICATE
    assert clip_reason("filtered", "shorter than 2 s").cause is Cause.TOO_SHORT


def test_an_unknown_sentence_stays_as_it_is() -> None:
    reason = clip_reason("filtered", "by hand")
    assert reason.cause is Cause.UNKNOWN and str(reason) == "by hand"
    assert clip_reason("kept", None) is None


@pytest.mark.parametrize(
    ("state", "sentence", "source_id", "clips", "failures", "cause"),
    [
        ("ok", None, "x", 1, "", None),
        ("duplicate", "the same content as a of b.mp4", "x", 0, "", Cause.SAME_CONTENT),
        ("filtered", "dropped by path deep/*", None, 0, "", Cause.EXCLUDED),
        ("filtered", "dropped for want of a licence", None, 0, "", Cause.EXCLUDED),
        ("filtered", "every key frame is blank", "x", 0, "", Cause.PREFILTERED),
        ("filtered", "no clip in it", "x", 0, "", Cause.NO_CLIP),
        ("filtered", "motion below 1; shorter than 2 s", "x", 2, "", Cause.NONE_KEPT),
        ("failed", "a.json beside it is not JSON", None, 0, "", Cause.SIDECAR),
        ("failed", "not a readable media file", "x", 0, "", Cause.UNREADABLE),
        ("failed", "breaks off", "x", 1, "could not be packed: damaged", Cause.UNREADABLE),
        ("failed", "could not be packed: damaged", "x", 1, "could not be packed: damaged", Cause.NONE_KEPT),
    ],
)
def test_a_sources_sentence(
    state: str, sentence: str | None, source_id: str | None, clips: int, failures: str, cause: Cause | None
) -> None:
    reason = source_reason(state, sentence, source_id=source_id, clips=clips, failures=failures)
    assert (reason and reason.cause) == cause and (reason and str(reason)) == sentence


def test_parts_and_manifests() -> None:
    assert part_reason("a still picture", source_id="x", prefiltered=True).cause is Cause.PREFILTERED
    assert part_reason("breaks off", source_id="x").cause is Cause.UNREADABLE
    assert part_reason("a.txt beside it is not UTF-8 text", source_id=None).cause is Cause.SIDECAR
    assert packing_reason("could not be packed: damaged") == Reason(Cause.NOT_PACKED, detail="damaged")


def test_tables_get_the_columns_and_keep_the_sentences() -> None:
    clips = pa.table(
        {
            "key": ["a", "b", "c"],
            "path": ["p", "p", "q"],
            "state": ["kept", "duplicate", "failed"],
            "reason": [None, "near duplicate of a, distance 3", "could not be packed: damaged"],
            "motion": [1.0, 2.0, 3.0],
        }
    )
    names = [name for name, _ in REASON_FIELDS]
    upgraded = upgraded_clips(clips)
    assert upgraded.column_names == ["key", "path", "state", *names, "motion"]
    assert upgraded.select(clips.column_names).equals(clips)
    assert upgraded["duplicate_of"].to_pylist() == [None, "a", None]
    sources = pa.table(
        {
            "path": ["p", "q"],
            "source_id": ["1", "2"],
            "state": ["ok", "failed"],
            "reason": [None, "could not be packed: damaged"],
            "clips": [2, 1],
        }
    )
    assert upgraded_sources(sources, clips)["cause"].to_pylist() == [None, "none_kept"]
