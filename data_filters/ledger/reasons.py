"""Why a clip or a source is not kept: a cause with its data, and a sentence for people.

The program decides by the fields of a `Reason`, never by the sentence. Both are columns of the ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import pyarrow as pa


class Cause(StrEnum):
    """The kind of a rejection: column `cause` of both ledger tables."""

    TOO_SHORT = "too_short"
    """A clip shorter than `clip.min_seconds`."""
    BELOW = "below"
    """A score below the lower bound of its band."""
    ABOVE = "above"
    """A score above the upper bound of its band."""
    UNMEASURED = "unmeasured"
    """A score with a band that the filter or network could not compute."""
    NOT_JOINED = "not_joined"
    """A score with a band that `join.scores` does not have for the clip."""
    UNREADABLE_FOR_SCORES = "unreadable_for_scores"
    """A clip whose frames could not be decoded a second time for a network."""
    NOT_FINITE = "not_finite"
    """A clip for which a network returned NaN or infinity."""
    NEAR_DUPLICATE = "near_duplicate"
    """A clip with nearly the same frames as a better clip, by perceptual hash."""
    SEMANTIC_DUPLICATE = "semantic_duplicate"
    """A clip with nearly the same content as a better clip, by the cosine of their embeddings."""
    NOT_BEST = "not_best"
    """A clip that is not among the `select.best.clips` best clips."""
    CAPTION = "caption"
    """A clip whose captions were all rejected."""
    UNREADABLE_FOR_CAPTION = "unreadable_for_caption"
    """A clip whose frames could not be decoded a second time for a caption model."""
    NOT_PACKED = "not_packed"
    """A clip that could not be cut out of its source."""
    SAME_CONTENT = "same_content"
    """A source with the same bytes as another."""
    EXCLUDED = "excluded"
    """A source excluded by `drop.paths`, `drop.tags` or `drop.licences`; it was not decoded."""
    PREFILTERED = "prefiltered"
    """A source that the key-frame pre-filter rejected."""
    UNREADABLE = "unreadable"
    """A source that could not be decoded, or not to its end."""
    SIDECAR = "sidecar"
    """A source whose sidecar file could not be parsed."""
    NO_CLIP = "no_clip"
    """A source in which no clip was found."""
    NONE_KEPT = "none_kept"
    """A source none of whose clips is kept."""
    UNKNOWN = "unknown"
    """A sentence of format version 1 that no known pattern matches."""


OF_ONE_SCORE = frozenset({Cause.BELOW, Cause.ABOVE, Cause.UNMEASURED, Cause.NOT_JOINED})
"""Causes by which a single score rejects a clip: `Reason.score` names the score."""
DUPLICATES = frozenset({Cause.NEAR_DUPLICATE, Cause.SEMANTIC_DUPLICATE, Cause.SAME_CONTENT})
"""Causes that name another clip or source: `Reason.other`."""

_SENTENCES = {
    Cause.TOO_SHORT: "shorter than {bound:g} s",
    Cause.BELOW: "{score} below {bound:g}",
    Cause.ABOVE: "{score} above {bound:g}",
    Cause.UNMEASURED: "{score} could not be measured",
    Cause.NOT_JOINED: "{score} is not in join.scores",
    Cause.UNREADABLE_FOR_SCORES: "could not be read again: {detail}",
    Cause.NOT_FINITE: "{score}: the network gave no number",
    Cause.NEAR_DUPLICATE: "near duplicate of {other}, {detail}",
    Cause.SEMANTIC_DUPLICATE: "semantic duplicate of {other}, {detail}",
    Cause.NOT_BEST: "not among the best {bound:.0f} by {score}",
    Cause.CAPTION: "caption: {detail}",
    Cause.UNREADABLE_FOR_CAPTION: "could not be read for its caption: {detail}",
    Cause.NOT_PACKED: "could not be packed: {detail}",
    Cause.SAME_CONTENT: "the same content as {other}",
    Cause.EXCLUDED: "dropped by {score} {detail}",
    Cause.NO_CLIP: "no clip in it",
}
"""Sentences by cause; for a cause that is not listed the sentence is `detail` alone."""
_KINDS = {
    Cause.NEAR_DUPLICATE: "near duplicate",
    Cause.SEMANTIC_DUPLICATE: "semantic duplicate",
    Cause.CAPTION: "caption",
}
"""Short names of causes whose sentences differ from clip to clip."""


@dataclass(frozen=True)
class Reason:
    """Why a clip or a source is not kept. `str()` gives the sentence for people."""

    cause: Cause
    score: str = ""
    """Name of the score that rejected the clip; for an excluded source the kind of rule: "path", "tag" or "licence"."""
    bound: float | None = None
    """The limit that applied: a score's bound in the score's unit, seconds for a length, a number of clips."""
    other: str = ""
    """For a duplicate: the key of the kept clip, or the path of the original source."""
    detail: str = ""
    """Text for people: the error, the origin of the bound, or the distance to the other clip."""

    def __str__(self) -> str:
        if self.cause is Cause.EXCLUDED and not self.detail:
            return f"dropped for want of a {self.score}"
        text = _SENTENCES.get(self.cause, "{detail}").format(**vars(self))
        return f"{text} ({self.detail})" if self.cause in (Cause.BELOW, Cause.ABOVE) and self.detail else text

    @property
    def countable(self) -> str:
        """The sentence without the other clip of a duplicate, so that equal reasons can be counted."""
        return _KINDS[self.cause] if self.cause in DUPLICATES & _KINDS.keys() else str(self)

    @property
    def kind(self) -> str:
        """The name of the step that rejected: the sentence without anything that differs between clips."""
        return _KINDS.get(self.cause) or str(self)

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as JSON values, without empty fields."""
        return {name: value for name, value in asdict(self).items() if value not in ("", None)}

    @staticmethod
    def from_dict(values: dict[str, Any]) -> Reason:
        """Returns the reason that `to_dict` converted, or the reason in a row of REASON_TYPE."""
        known = {name: value for name, value in values.items() if value is not None}
        return Reason(**{**known, "cause": Cause(values["cause"])})


REASON_TYPE = pa.struct(
    [
        ("cause", pa.string()),
        ("score", pa.string()),
        ("bound", pa.float64()),
        ("other", pa.string()),
        ("detail", pa.string()),
    ]
)
"""A `Reason` as an Arrow type, for tables that are passed between stages."""
REASON_FIELDS = [
    ("reason", pa.string()),
    ("cause", pa.string()),
    ("cause_score", pa.string()),
    ("cause_bound", pa.float64()),
    ("cause_detail", pa.string()),
    ("duplicate_of", pa.string()),
]
"""Columns of a `Reason` in both ledger tables: the sentence, then the fields of the reason; null if empty."""


def reason_columns(reasons: Sequence[Reason | None]) -> dict[str, list[Any]]:
    """Returns the columns of REASON_FIELDS, with one row per reason."""
    # Most clips share one of a few reason objects: each object is converted to a row once.
    rows = {id(reason): _row(reason) for reason in {id(reason): reason for reason in reasons}.values()}
    columns: tuple[list[Any], ...] = tuple([] for _ in REASON_FIELDS)
    for reason in reasons:
        for column, value in zip(columns, rows[id(reason)], strict=True):
            column.append(value)
    return {name: column for (name, _), column in zip(REASON_FIELDS, columns, strict=True)}


def reasons_from_columns(table: pa.Table) -> list[Reason | None]:
    """Returns the reasons of a table with the columns of REASON_FIELDS."""
    columns = [table[name].to_pylist() for name, _ in REASON_FIELDS[1:]]
    known: dict[tuple[Any, ...], Reason | None] = {}
    reasons = []
    for row in zip(*columns, strict=True):
        if row not in known:
            cause, score, bound, detail, other = row
            known[row] = None if cause is None else Reason(Cause(cause), score or "", bound, other or "", detail or "")
        reasons.append(known[row])
    return reasons


def _row(reason: Reason | None) -> tuple[Any, ...]:
    if reason is None:
        return (None,) * len(REASON_FIELDS)
    texts = (reason.detail or None, reason.other or None)
    return (str(reason), str(reason.cause), reason.score or None, reason.bound, *texts)


def reason_structs(reasons: Sequence[Reason | None]) -> pa.Array:
    """Returns reasons as an Arrow array of REASON_TYPE."""
    return pa.array([reason and asdict(reason) for reason in reasons], REASON_TYPE)


def reasons_from_structs(values: pa.Array | pa.ChunkedArray) -> list[Reason | None]:
    """Returns the reasons of an Arrow array of REASON_TYPE."""
    return [None if value is None else Reason.from_dict(value) for value in values.to_pylist()]
