"""Reads datasets of format version 1, in which a reason is only a sentence.

No other module parses sentences. The sentences of version 1 no longer change, so neither do these patterns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from framemill.data_filters.ledger.reasons import REASON_FIELDS, Cause, Reason, reason_columns

_NUMBER = r"(?P<bound>-?(?:\d+(?:\.\d*)?(?:e[+-]?\d+)?|inf)|nan)"
_CLIP_PATTERNS = [
    ("filtered", Cause.TOO_SHORT, f"shorter than {_NUMBER} s"),
    ("filtered", Cause.BELOW, rf"(?P<score>\w+) below {_NUMBER}(?: \((?P<detail>.*)\))?"),
    ("filtered", Cause.ABOVE, rf"(?P<score>\w+) above {_NUMBER}(?: \((?P<detail>.*)\))?"),
    ("filtered", Cause.NOT_BEST, rf"not among the best {_NUMBER} by (?P<score>\w+)"),
    ("filtered", Cause.CAPTION, "caption: (?P<detail>.*)"),
    ("failed", Cause.UNREADABLE_FOR_SCORES, "could not be read again: (?P<detail>.*)"),
    ("failed", Cause.UNREADABLE_FOR_CAPTION, "could not be read for its caption: (?P<detail>.*)"),
    ("failed", Cause.NOT_PACKED, "could not be packed: (?P<detail>.*)"),
    ("failed", Cause.NOT_FINITE, r"(?P<score>\w+): the network gave no number"),
    ("failed", Cause.UNMEASURED, r"(?P<score>\w+) could not be measured"),
    ("failed", Cause.NOT_JOINED, r"(?P<score>\w+) is not in join\.scores"),
    ("duplicate", Cause.NEAR_DUPLICATE, "near duplicate of (?P<other>[^,]*), (?P<detail>.*)"),
    ("duplicate", Cause.SEMANTIC_DUPLICATE, "semantic duplicate of (?P<other>[^,]*), (?P<detail>.*)"),
]
"""Triples: state of the clip, cause, pattern that the whole sentence matches."""
_SAME_CONTENT = "the same content as "
_EXCLUDED = re.compile(
    r"dropped (?:by (?P<score>path|tag|licence) (?P<detail>.*)|for want of a (?P<want>\w+))", re.DOTALL
)
_BROKEN_SIDECAR = re.compile(r".* beside it is not (?:UTF-8 text|JSON|a JSON object)", re.DOTALL)
_NO_CLIP = "no clip in it"


def clip_reason(state: str, sentence: str | None) -> Reason | None:
    """Returns the reason of a clip, parsed from its state and its sentence; None if it has no sentence.

    A sentence that no known pattern matches gives a reason with the cause UNKNOWN.
    """
    if sentence is None:
        return None
    for known_state, cause, pattern in _CLIP_PATTERNS:
        match = re.fullmatch(pattern, sentence, re.DOTALL) if known_state == state else None
        if match:
            values: dict[str, Any] = {name: value for name, value in match.groupdict().items() if value is not None}
            if "bound" in values:
                values["bound"] = float(values["bound"])
            return Reason(cause, **values)
    return Reason(Cause.UNKNOWN, detail=sentence)


def source_reason(
    state: str, sentence: str | None, *, source_id: str | None, clips: int, failures: str
) -> Reason | None:
    """Returns the reason of a source, parsed from its row in format version 1; None if it has no sentence.

    Args:
        state: "ok", "filtered", "failed" or "duplicate".
        sentence: column `reason`; None if the column is null.
        source_id: column `source_id`; None if the file was not read.
        clips: number of the source's clips.
        failures: the distinct sentences of the source's failed clips, sorted and joined by "; ".
    """
    if sentence is None:
        return None
    if state == "duplicate":
        return Reason(Cause.SAME_CONTENT, other=sentence.removeprefix(_SAME_CONTENT))
    if state == "failed":
        if failures and sentence == failures:
            return Reason(Cause.NONE_KEPT, detail=sentence)
        return part_reason(sentence, source_id=source_id)
    if source_id is None and (match := _EXCLUDED.fullmatch(sentence)):
        return Reason(Cause.EXCLUDED, score=match["score"] or match["want"], detail=match["detail"] or "")
    if sentence == _NO_CLIP:
        return Reason(Cause.NO_CLIP)
    return Reason(Cause.NONE_KEPT if clips else Cause.PREFILTERED, detail=sentence)


def packing_reason(sentence: str) -> Reason:
    """Returns the reason of a clip that could not be packed, from its sentence in a shard's manifest."""
    return Reason(Cause.NOT_PACKED, detail=sentence.removeprefix("could not be packed: "))


def part_reason(sentence: str, *, source_id: str | None, prefiltered: bool = False) -> Reason:
    """Returns the reason in a part: why the source failed, or why the key-frame pre-filter rejected it."""
    if prefiltered:
        return Reason(Cause.PREFILTERED, detail=sentence)
    broken = source_id is None and _BROKEN_SIDECAR.fullmatch(sentence)
    return Reason(Cause.SIDECAR if broken else Cause.UNREADABLE, detail=sentence)


def upgraded_clips(table: pa.Table) -> pa.Table:
    """Returns a clips table of version 1 with the columns of REASON_FIELDS added."""
    states, sentences = table["state"].to_pylist(), table["reason"].to_pylist()
    known = {pair: clip_reason(*pair) for pair in set(zip(states, sentences, strict=True))}
    return _with_reasons(table, [known[pair] for pair in zip(states, sentences, strict=True)])


def upgraded_sources(table: pa.Table, clips: pa.Table) -> pa.Table:
    """Returns a sources table of version 1 with the columns of REASON_FIELDS added.

    Args:
        table: the sources.
        clips: columns `path`, `state` and `reason` of the clips table of the same dataset.
    """
    failed = clips.filter(pc.equal(clips["state"], "failed"))
    sentences: dict[str, set[str]] = {}
    for path, sentence in zip(failed["path"].to_pylist(), failed["reason"].to_pylist(), strict=True):
        sentences.setdefault(path, set()).add(sentence)
    rows = table.select(["path", "state", "reason", "source_id", "clips"]).to_pylist()
    reasons = [
        source_reason(
            row["state"],
            row["reason"],
            source_id=row["source_id"],
            clips=row["clips"],
            failures="; ".join(sorted(sentences.get(row["path"], set()))),
        )
        for row in rows
    ]
    return _with_reasons(table, reasons)


def _with_reasons(table: pa.Table, reasons: Iterable[Reason | None]) -> pa.Table:
    """Returns the table with the fields of the reasons added as columns after `reason`, which stays unchanged."""
    columns = reason_columns(list(reasons))
    at = table.column_names.index("reason") + 1
    for place, (name, kind) in enumerate(REASON_FIELDS[1:]):
        table = table.add_column(at + place, pa.field(name, kind), pa.array(columns[name], kind))
    return table
