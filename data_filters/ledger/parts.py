"""Parts: the measurements of one source, as one immutable Arrow file per source."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa

from framemill.data_filters.ledger import format_v1
from framemill.data_filters.ledger.reasons import Cause, Reason
from framemill.data_filters.ledger.schema import clips_schema
from framemill.data_filters.ledger.source_row import FileFacts
from framemill.data_filters.sources.source import Source
from framemill.platform import storage

PARTS = "work/parts"
"""Folder of the parts in an output."""
_METADATA = b"framemill"
"""Key of the schema's metadata under which the facts of the source are stored."""


@dataclass(frozen=True)
class Part:
    """The measurements of one source, without its clips."""

    source: Source
    source_id: str | None
    """sha256 of the content; None if the file could not be read."""
    reason: Reason | None
    """Why the source failed or was rejected by the key-frame pre-filter; None if it was decoded to its end."""
    provenance: dict[str, Any]
    facts: FileFacts | None = None
    """None if the file could not be read as video."""
    seconds: float = field(default=0.0, compare=False)
    """Wall time of measuring, seconds; 0 if the source was measured for another dataset. No result depends on it."""

    @property
    def prefiltered(self) -> bool:
        """Whether the key-frame pre-filter rejected the source, whose state is then "filtered" and not "failed"."""
        return self.reason is not None and self.reason.cause is Cause.PREFILTERED


def part_name(source: Source) -> str:
    """Returns the file name of a source's part, a hash of its path relative to the input."""
    return hashlib.blake2b(source.path.encode(), digest_size=16).hexdigest() + ".arrow"


def holds_other_sources(output: str, sources: list[Source]) -> bool:
    """Returns whether an output has parts but none of these sources: it was made from another input."""
    names = {name for name in storage.list_dir(storage.join(output, PARTS)) if not name.startswith(storage.TEMPORARY)}
    return bool(names) and bool(sources) and names.isdisjoint(part_name(source) for source in sources)


def write_part(output: str, part: Part, clips: Sequence[dict[str, Any]], scores: Sequence[str]) -> None:
    """Writes the part of a source in one atomic step.

    Args:
        output: folder or URI of the dataset.
        part: the measurements of the source.
        clips: rows of the clips table without state, each with a `thumbnail` (JPEG).
        scores: names of the score columns.
    """
    facts = {
        "source": asdict(part.source),
        "source_id": part.source_id,
        "reason": part.reason.to_dict() if part.reason else None,
        "provenance": part.provenance,
        "facts": asdict(part.facts) if part.facts else None,
        "seconds": part.seconds,
    }
    schema = clips_schema(scores, states=False).append(pa.field("thumbnail", pa.binary()))
    table = pa.Table.from_pylist(list(clips), schema.with_metadata({_METADATA: json.dumps(facts).encode()}))
    buffer = io.BytesIO()
    with pa.ipc.new_file(buffer, table.schema) as writer:
        writer.write_table(table)
    storage.write_atomic(_part_uri(output, part.source), buffer.getvalue())


def read_part(output: str, source: Source) -> tuple[Part, pa.Table] | None:
    """Returns the part of a source and its clips without thumbnails; None if it is absent or the file has changed."""
    table = read_ipc(_part_uri(output, source))
    if table is None or _facts(table)["source"]["stamp"] != source.stamp:
        return None
    return _as_part(source, table)


def read_any_part(output: str, path: str) -> tuple[Part, pa.Table] | None:
    """Returns the part and the clips of the source at a path, even if the file has changed; the URI is empty.

    Returns None if there is no part.
    """
    source = Source(path, "", "")
    table = read_ipc(_part_uri(output, source))
    return None if table is None else _as_part(source, table)


def read_thumbnails(output: str, source: Source) -> dict[str, bytes]:
    """Returns the JPEG thumbnail of each clip of a source, by key; empty if there is no part."""
    table = read_ipc(_part_uri(output, source))
    if table is None:
        return {}
    return dict(zip(table["key"].to_pylist(), table["thumbnail"].to_pylist(), strict=True))


def read_ipc(uri: str) -> pa.Table | None:
    """Returns an Arrow IPC file as a table; None if there is no such file."""
    if not storage.exists(uri):
        return None
    with pa.ipc.open_file(io.BytesIO(storage.read_bytes(uri))) as reader:
        return reader.read_all()


def _part_uri(output: str, source: Source) -> str:
    return storage.join(output, PARTS, part_name(source))


def _facts(table: pa.Table) -> dict[str, Any]:
    """Returns the JSON values that a part records about its source."""
    facts = json.loads(table.schema.metadata[_METADATA])
    # Format version 1 wrote the source as JSON text.
    return {**facts, "source": json.loads(facts["source"])} if isinstance(facts["source"], str) else facts


def _as_part(source: Source, table: pa.Table) -> tuple[Part, pa.Table]:
    facts = _facts(table)
    part = Part(
        source=source,
        source_id=facts["source_id"],
        reason=_as_reason(facts),
        provenance=facts["provenance"],
        facts=FileFacts(**facts["facts"]) if facts["facts"] else None,
        seconds=facts.get("seconds", 0.0),
    )
    return part, table.drop_columns(["thumbnail"])


def _as_reason(facts: dict[str, Any]) -> Reason | None:
    reason = facts["reason"]
    if isinstance(reason, str):
        return format_v1.part_reason(reason, source_id=facts["source_id"], prefiltered=facts["screened"])
    return Reason.from_dict(reason) if reason else None
