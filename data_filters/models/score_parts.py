"""What networks measured: one immutable Arrow part for each source and scorer, beside the part of the pass."""

from __future__ import annotations

import dataclasses
import io
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from framemill.data_filters.ledger.clip_table import MeasuredSources, with_column
from framemill.data_filters.ledger.parts import VECTOR, part_name, read_ipc
from framemill.data_filters.models.registry import ModelSpec
from framemill.data_filters.select.bounds import Stage
from framemill.data_filters.select.states import build_tables
from framemill.data_filters.sources.source import Source
from framemill.platform import storage

SCORES = "work/scores"
CLIP_FACTS = ("key", "start_s", "frames", "width", "height")
Row = dict[str, Any]


@dataclass(frozen=True)
class ScoreWork:
    """A source, and those of its clips that a network is to see."""

    source: Source
    clips: list[Row]
    """With CLIP_FACTS."""

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @staticmethod
    def from_json(text: str) -> ScoreWork:
        values = json.loads(text)
        return ScoreWork(Source(**values["source"]), values["clips"])


def score_work(measured: MeasuredSources, min_seconds: float, stages: list[Stage]) -> list[ScoreWork]:
    """The clips that nothing known so far rejects, by source: no duplicate's, and none that failed."""
    by_path: dict[str, list[Row]] = {}
    for clip in build_tables(measured, min_seconds, stages)[1]:
        if clip["state"] == "kept":
            by_path.setdefault(clip["path"], []).append({name: clip[name] for name in CLIP_FACTS})
    sources = (part.source for part in measured.parts)
    return [ScoreWork(source, by_path[source.path]) for source in sources if source.path in by_path]


def folder_of(output: str, spec: ModelSpec) -> str:
    return storage.join(output, SCORES, spec.name)


def write_scores(output: str, spec: ModelSpec, source: Source, rows: list[Row]) -> None:
    """Commits the rows of a source's clips: `key`, `unscored` (why there are no scores, or None), and the columns."""
    text = [("key", pa.string()), ("unscored", pa.string())]
    numbers = [(name, pa.float64()) for name in spec.columns]
    vectors = [(name, VECTOR) for name in spec.vectors]
    schema = pa.schema([*text, *numbers, *vectors])
    table = pa.Table.from_pylist(rows, schema.with_metadata({"framemill": source.to_json()}))
    buffer = io.BytesIO()
    with pa.ipc.new_file(buffer, table.schema) as writer:
        writer.write_table(table)
    storage.write_atomic(storage.join(folder_of(output, spec), part_name(source)), buffer.getvalue())


def read_scores(output: str, spec: ModelSpec, work: ScoreWork) -> dict[str, Row] | None:
    """The rows of all clips of some work by key; None where it is to be done, or the file has changed since."""
    table = read_ipc(storage.join(folder_of(output, spec), part_name(work.source)))
    if table is None or Source.from_json(table.schema.metadata[b"framemill"].decode()).stamp != work.source.stamp:
        return None
    rows = {row["key"]: as_arrays(row, spec.vectors) for row in table.to_pylist()}
    return rows if all(clip["key"] in rows for clip in work.clips) else None


def as_arrays(row: Row, vectors: tuple[str, ...]) -> Row:
    """A row with its vectors as float32 arrays: as lists they would take a driver eight times the room."""
    return row | {name: np.array(row[name], np.float32) for name in vectors if row[name] is not None}


def with_scores(measured: MeasuredSources, spec: ModelSpec, scored: dict[str, Row]) -> MeasuredSources:
    """The clips with a scorer's columns, from its rows by key; null where it saw no clip.

    `unscored` says why a clip that should have been scored was not.
    """
    table = measured.clips
    rows = [scored.get(key, {}) for key in table["key"].to_pylist()]
    for name in spec.columns:
        table = with_column(table, name, pa.array([row.get(name) for row in rows], pa.float64()))
    for name in spec.vectors:
        table = with_column(table, name, pa.array([row.get(name) for row in rows], VECTOR))
    unscored = pa.array([row.get("unscored") for row in rows], pa.string())
    before = table["unscored"] if "unscored" in table.column_names else pa.nulls(len(rows), pa.string())
    table = with_column(table, "unscored", pc.coalesce(before, unscored))
    if "motion" in spec.columns:
        from framemill.data_filters.measure.describe import with_movement

        said = zip(table["description"].to_pylist(), rows, strict=True)
        told = [text if row.get("motion") is None else with_movement(text, row) for text, row in said]
        table = with_column(table, "description", pa.array(told, pa.string()))
    return dataclasses.replace(measured, clips=table)
