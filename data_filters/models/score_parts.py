"""The recorded results of scorers: one immutable Arrow file, a part, for each source and scorer."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from framemill.data_filters.ledger import format_v1
from framemill.data_filters.ledger.clip_table import ClipTable, with_column
from framemill.data_filters.ledger.measured import MeasuredSources
from framemill.data_filters.ledger.parts import part_name, read_ipc
from framemill.data_filters.ledger.reasons import REASON_TYPE, Reason, reason_structs, reasons_from_structs
from framemill.data_filters.ledger.schema import VECTOR
from framemill.data_filters.models.base import ModelSpec, ScorableClip, Scores
from framemill.data_filters.sources.source import Source
from framemill.platform import storage

SCORES = "work/scores"
"""Folder of the parts in an output; it has a folder for each scorer and settings."""


@dataclass(frozen=True)
class ScoreWork:
    """A source and its clips that a network must score: one work item of a `ModelWorker`."""

    source: Source
    clips: list[ScorableClip]

    def to_json(self) -> str:
        """Returns the work item as JSON."""
        return json.dumps(dataclasses.asdict(self))

    @staticmethod
    def from_json(text: str) -> ScoreWork:
        """Returns the work item that `to_json` serialised."""
        values = json.loads(text)
        return ScoreWork(Source(**values["source"]), [ScorableClip(**clip) for clip in values["clips"]])


@dataclass(frozen=True)
class ClipScores:
    """A scorer's result for one clip: the scores, or the reason why the clip has none."""

    key: str
    scores: Scores | None
    unscored: Reason | None = None
    """Why the clip has no scores; None if it has scores."""


def score_work(sources: Iterable[Source], clips: ClipTable) -> list[ScoreWork]:
    """Returns the clips that are not rejected so far, grouped by source, in the order of `sources`.

    Args:
        sources: all sources.
        clips: all clips, with the states assigned from the scores known so far.
    """
    by_path: dict[str, list[ScorableClip]] = {}
    for clip in clips:
        if clip.state == "kept":
            scorable = ScorableClip(clip.key, clip.start_s, clip.frames, clip.width, clip.height)
            by_path.setdefault(clip.path, []).append(scorable)
    return [ScoreWork(source, by_path[source.path]) for source in sources if source.path in by_path]


def scores_folder(output: str, spec: ModelSpec) -> str:
    """Returns the folder of the parts of a scorer."""
    return storage.join(output, SCORES, spec.name)


def write_scores(output: str, spec: ModelSpec, source: Source, rows: Sequence[ClipScores]) -> None:
    """Writes the part with a scorer's results for the clips of a source."""
    fixed = [("key", pa.string()), ("unscored", REASON_TYPE)]
    numbers = [(name, pa.float64()) for name in spec.columns]
    vectors = [(name, VECTOR) for name in spec.vectors]
    schema = pa.schema([*fixed, *numbers, *vectors])
    columns = [
        {"key": row.key, "unscored": row.unscored and row.unscored.to_dict(), **_columns(row.scores)} for row in rows
    ]
    table = pa.Table.from_pylist(columns, schema.with_metadata({"framemill": source.to_json()}))
    buffer = io.BytesIO()
    with pa.ipc.new_file(buffer, table.schema) as writer:
        writer.write_table(table)
    storage.write_atomic(storage.join(scores_folder(output, spec), part_name(source)), buffer.getvalue())


def read_scores(output: str, spec: ModelSpec, work: ScoreWork) -> dict[str, ClipScores] | None:
    """Returns a scorer's recorded results for the clips of a source, by clip key.

    Returns None if results of some clips of `work` are missing, or if the source's file has changed since they were
    recorded.
    """
    table = read_ipc(storage.join(scores_folder(output, spec), part_name(work.source)))
    if table is None or Source.from_json(table.schema.metadata[b"framemill"].decode()).stamp != work.source.stamp:
        return None
    # In format version 1 reasons are sentences.
    old = pa.types.is_string(table["unscored"].type)
    unscored = (
        [format_v1.clip_reason("failed", text) for text in table["unscored"].to_pylist()]
        if old
        else reasons_from_structs(table["unscored"])
    )
    rows = {}
    for row, reason in zip(table.to_pylist(), unscored, strict=True):
        # As Python lists, the embeddings of all clips would take eight times the memory on the driver.
        vectors: dict[str, Sequence[float] | np.ndarray] = {
            name: np.array(row[name], np.float32) for name in spec.vectors if row[name] is not None
        }
        scores = Scores({name: row[name] for name in spec.columns}, vectors) if reason is None else None
        rows[row["key"]] = ClipScores(row["key"], scores, reason)
    return rows if all(clip.key in rows for clip in work.clips) else None


def with_scores(measured: MeasuredSources, spec: ModelSpec, scored: dict[str, ClipScores]) -> MeasuredSources:
    """Returns the sources and clips with a scorer's columns added to the clips table, null for clips without a result.

    Column `unscored` has the reason why scoring a clip failed.

    Args:
        measured: sources and clips.
        spec: the scorer.
        scored: the scorer's results by clip key.
    """
    table = measured.clips
    rows = [scored.get(key) for key in table["key"].to_pylist()]
    columns = [_columns(row.scores) if row else {} for row in rows]
    for name in spec.columns:
        table = with_column(table, name, pa.array([row.get(name) for row in columns], pa.float64()))
    for name in spec.vectors:
        table = with_column(table, name, pa.array([row.get(name) for row in columns], VECTOR))
    unscored = reason_structs([row.unscored if row else None for row in rows])
    before = table["unscored"] if "unscored" in table.column_names else pa.nulls(len(rows), REASON_TYPE)
    table = with_column(table, "unscored", pc.coalesce(before, unscored))
    return dataclasses.replace(measured, clips=table)


def _columns(scores: Scores | None) -> dict[str, float | Sequence[float] | np.ndarray]:
    return {**scores.numbers, **scores.vectors} if scores else {}
