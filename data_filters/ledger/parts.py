"""The ledger: one immutable Arrow part for each source while the work goes on, two tables when it is done."""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pyarrow as pa

from framemill.data_filters.filters.registry import score_columns
from framemill.data_filters.measure.messages import MeasuredClip
from framemill.data_filters.sources.source import Source
from framemill.platform import storage
from framemill.platform.vision.probe import VideoInfo

PARTS = "work/parts"
JOURNAL = "work/journal.jsonl"
PROVENANCE = pa.struct([("tags", pa.list_(pa.string())), ("licence", pa.string()), ("external", pa.string())])
FACT_FIELDS = [
    ("codec", pa.string()),
    ("width", pa.int64()),
    ("height", pa.int64()),
    ("rotation", pa.int64()),
    ("fps", pa.float64()),
    ("fps_varies", pa.bool_()),
    ("duration", pa.float64()),
    ("pixel_format", pa.string()),
    ("hdr", pa.string()),
    ("audio", pa.string()),
]
"""What the file is, as `VideoInfo` says; null where it could not be read."""
SOURCES_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("source_id", pa.string()),
        ("state", pa.string()),
        ("reason", pa.string()),
        ("clips", pa.int64()),
        ("provenance", PROVENANCE),
        *FACT_FIELDS,
    ]
)
CLIP_FIELDS = [
    ("key", pa.string()),
    ("source_id", pa.string()),
    ("path", pa.string()),
    ("start_s", pa.float64()),
    ("end_s", pa.float64()),
    ("first_frame", pa.int64()),
    ("frames", pa.int64()),
    ("width", pa.int64()),
    ("height", pa.int64()),
    ("fps", pa.float64()),
    ("description", pa.string()),
    ("phashes", pa.binary()),
    ("sidecar_caption", pa.string()),
]
VERDICT_FIELDS = [("state", pa.string()), ("reason", pa.string()), ("caption", pa.string())]


VECTOR = pa.list_(pa.float32())


def clips_schema(scores: list[str], vectors: list[str] | None = None, *, verdicts: bool = True) -> pa.Schema:
    """Columns of the clips table: facts, verdict, then a column a score, and one a vector."""
    measured = [*((name, pa.float64()) for name in scores), *((name, VECTOR) for name in vectors or [])]
    return pa.schema([*CLIP_FIELDS, *(VERDICT_FIELDS if verdicts else []), *measured])


@dataclass(frozen=True)
class Part:
    """What measuring one source gave."""

    source: Source
    source_id: str | None
    """sha256 of the content; None where the file could not be read."""
    reason: str | None
    """Why it failed, or was screened; None where it was read to its end."""
    provenance: dict[str, Any]
    clips: list[dict[str, Any]]
    """Rows of the clips table without their verdict. When written each has a `thumbnail` (JPEG) too; reading leaves it
    where it is. A driver, which holds the clips of all sources, has them in one table instead."""
    screened: bool = False
    """Whether it ended at the key-frame screen: it is filtered then, and the reason says by what."""
    facts: dict[str, Any] = field(default_factory=dict)
    """The columns of FACT_FIELDS; empty where the file could not be read."""
    seconds: float = field(default=0.0, compare=False)
    """How long it took; 0 where nothing was measured here. No result depends on it."""


def fact_columns(video: VideoInfo | None, fps_varies: bool | None) -> dict[str, Any]:
    """A source's columns of FACT_FIELDS."""
    if video is None:
        return {}
    known = asdict(video) | {"fps_varies": fps_varies}
    return {name: round(known[name], 6) if isinstance(known[name], float) else known[name] for name, _ in FACT_FIELDS}


def clip_rows(source: Source, source_id: str, caption: str | None, clips: list[MeasuredClip]) -> list[dict[str, Any]]:
    """A source's clips as rows. A key is made of content and frames, so it is the same wherever the file lies."""
    return [
        {
            "key": f"{source_id[:16]}-{clip.first_frame:07d}-{clip.first_frame + clip.frames:07d}",
            "source_id": source_id,
            "path": source.path,
            **{name: getattr(clip, name) for name in ("start_s", "end_s", "first_frame", "frames")},
            **{name: getattr(clip, name) for name in ("width", "height", "fps", "description", "phashes", "thumbnail")},
            "sidecar_caption": caption,
            **clip.scores,
        }
        for clip in clips
    ]


def part_name(source: Source) -> str:
    return hashlib.blake2b(source.path.encode(), digest_size=16).hexdigest() + ".arrow"


def part_uri(output: str, source: Source) -> str:
    return storage.join(output, PARTS, part_name(source))


def holds_others(output: str, sources: list[Source]) -> bool:
    """Whether an output has parts, and none of them is of these sources: it is another input's."""
    held = {name for name in storage.list_dir(storage.join(output, PARTS)) if not name.startswith(storage.TEMPORARY)}
    return bool(held) and bool(sources) and held.isdisjoint(part_name(source) for source in sources)


def write_part(output: str, part: Part, filters: list[str]) -> None:
    """Commits a source as measured."""
    facts = {
        "source": part.source.to_json(),
        "source_id": part.source_id,
        "reason": part.reason,
        "provenance": part.provenance,
        "facts": part.facts,
        "screened": part.screened,
        "seconds": part.seconds,
    }
    schema = clips_schema(score_columns(filters), verdicts=False).append(pa.field("thumbnail", pa.binary()))
    table = pa.Table.from_pylist(part.clips, schema.with_metadata({"framemill": json.dumps(facts)}))
    buffer = io.BytesIO()
    with pa.ipc.new_file(buffer, table.schema) as writer:
        writer.write_table(table)
    storage.write_atomic(part_uri(output, part.source), buffer.getvalue())


def read_part(output: str, source: Source) -> Part | None:
    """What was measured of a source; None where nothing was, or the file has changed since."""
    held = read_columns(output, source)
    return None if held is None else replace(held[0], clips=held[1].to_pylist())


def read_columns(output: str, source: Source) -> tuple[Part, pa.Table] | None:
    """The same with the clips as a table, not as rows."""
    table = read_ipc(part_uri(output, source))
    if table is None:
        return None
    if Source.from_json(json.loads(table.schema.metadata[b"framemill"])["source"]).stamp != source.stamp:
        return None
    return part_from(source, table)


def part_from(source: Source, table: pa.Table) -> tuple[Part, pa.Table]:
    """A part, and its clips, of what its file holds."""
    facts = json.loads(table.schema.metadata[b"framemill"])
    told = {name: facts[name] for name in ("source_id", "reason", "provenance", "screened", "facts")}
    return Part(source=source, clips=[], seconds=facts.get("seconds", 0.0), **told), table.drop_columns(["thumbnail"])


def read_thumbnails(output: str, source: Source) -> dict[str, bytes]:
    """The JPEG of each clip of a source, by key."""
    table = read_ipc(part_uri(output, source))
    if table is None:
        return {}
    return dict(zip(table["key"].to_pylist(), table["thumbnail"].to_pylist(), strict=True))


def read_ipc(uri: str) -> pa.Table | None:
    if not storage.exists(uri):
        return None
    with pa.ipc.open_file(io.BytesIO(storage.read_bytes(uri))) as reader:
        return reader.read_all()


def log_event(output: str, **event: Any) -> None:
    """Adds a line to the journal of a local output: who began and finished what, for people and tests. No result
    depends on it."""
    if storage.is_local(output):
        line = json.dumps({"time": round(time.time(), 3), "pid": os.getpid(), **event}) + "\n"
        with open(storage.local_path(storage.join(output, JOURNAL)), "a") as file:
            file.write(line)
