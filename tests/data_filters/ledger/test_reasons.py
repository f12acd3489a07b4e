"""Reasons: the sentence of each cause, and the columns of the ledger."""

from __future__ import annotations

import pyarrow as pa
import pytest

from framemill.data_filters.ledger.reasons import (
    REASON_FIELDS,
    Cause,
    Reason,
    reason_columns,
    reason_structs,
    reasons_from_columns,
    reasons_from_structs,
)

SENTENCES = [
    (Reason(Cause.TOO_SHORT, bound=2.0), "shorter than 2 s"),
    (Reason(Cause.BELOW, "motion", 0.25), "motion below 0.25"),
    (
        Reason(Cause.BELOW, "motion", 20.0, detail="20 % quantile of set anime"),
        "motion below 20 (20 % quantile of set anime)",
    ),
    (Reason(Cause.ABOVE, "saturation", 248.0), "saturation above 248"),
    (Reason(Cause.ABOVE, "height", 1e7, detail="set anime"), "height above 1e+07 (set anime)"),
    (Reason(Cause.UNMEASURED, "motion"), "motion could not be measured"),
    (Reason(Cause.NOT_JOINED, "taste"), "taste is not in join.scores"),
    (Reason(Cause.UNREADABLE_FOR_SCORES, detail="damaged: at 3 s"), "could not be read again: damaged: at 3 s"),
    (Reason(Cause.NOT_FINITE, "dover"), "dover: the network gave no number"),
    (Reason(Cause.NEAR_DUPLICATE, other="a-1", detail="distance 3"), "near duplicate of a-1, distance 3"),
    (
        Reason(Cause.SEMANTIC_DUPLICATE, other="a-1", detail="similarity 0.97"),
        "semantic duplicate of a-1, similarity 0.97",
    ),
    (Reason(Cause.NOT_BEST, "technical", 24.0), "not among the best 24 by technical"),
    (Reason(Cause.NOT_BEST, "technical", 1_000_000.0), "not among the best 1000000 by technical"),
    (Reason(Cause.CAPTION, detail="refusal"), "caption: refusal"),
    (Reason(Cause.UNREADABLE_FOR_CAPTION, detail="damaged"), "could not be read for its caption: damaged"),
    (Reason(Cause.NOT_PACKED, detail="damaged (of set b)"), "could not be packed: damaged (of set b)"),
    (Reason(Cause.SAME_CONTENT, other="a of b.mp4"), "the same content as a of b.mp4"),
    (Reason(Cause.EXCLUDED, "path", detail="deep/*"), "dropped by path deep/*"),
    (Reason(Cause.EXCLUDED, "licence"), "dropped for want of a licence"),
    (Reason(Cause.PREFILTERED, detail="every key frame is blank"), "every key frame is blank"),
    (Reason(Cause.UNREADABLE, detail="breaks off {after} 2 s"), "breaks off {after} 2 s"),
    (Reason(Cause.SIDECAR, detail="a.json beside it is not JSON"), "a.json beside it is not JSON"),
    (Reason(Cause.NO_CLIP), "no clip in it"),
    (Reason(Cause.NONE_KEPT, detail="motion below 1; near duplicate"), "motion below 1; near duplicate"),
]


@pytest.mark.parametrize(("reason", "sentence"), SENTENCES)
def test_each_cause_has_its_sentence(reason: Reason, sentence: str) -> None:
    assert str(reason) == sentence
    assert Reason.from_dict(reason.to_dict()) == reason


def test_every_cause_is_tested() -> None:
    assert {reason.cause for reason, _ in SENTENCES} == set(Cause) - {Cause.UNKNOWN}


def test_reasons_are_counted_without_the_other_clip() -> None:
    near = [Reason(Cause.NEAR_DUPLICATE, other=key, detail=f"distance {i}") for i, key in enumerate("abc")]
    assert {reason.countable for reason in near} == {reason.kind for reason in near} == {"near duplicate"}
    caption = Reason(Cause.CAPTION, detail="refusal")
    assert (caption.countable, caption.kind) == ("caption: refusal", "caption")


def test_columns_and_structs_give_the_reasons_back() -> None:
    reasons = [None, *(reason for reason, _ in SENTENCES), None, SENTENCES[0][0]]
    columns = reason_columns(reasons)
    table = pa.table({name: pa.array(columns[name], kind) for name, kind in REASON_FIELDS})
    assert table["reason"].to_pylist()[1:-2] == [sentence for _, sentence in SENTENCES]
    assert reasons_from_columns(table) == reasons
    assert reasons_from_structs(reason_structs(reasons)) == reasons
    row = table.to_pylist()[2]
    assert row == {
        "reason": "motion below 0.25",
        "cause": "below",
        "cause_score": "motion",
        "cause_bound": 0.25,
        "cause_detail": None,
        "duplicate_of": None,
    }
