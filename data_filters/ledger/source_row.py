"""A source in the ledger: the properties of its file, its state and its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import pyarrow as pa

from framemill.data_filters.ledger.reasons import Cause, Reason, reason_columns, reasons_from_columns
from framemill.data_filters.ledger.schema import FILE_FIELDS, SOURCES_SCHEMA
from framemill.data_filters.sources.exclude import Exclusion
from framemill.platform.vision.probe import VideoInfo

DECIMALS = 6
"""Decimals to which file properties are rounded."""


@dataclass(frozen=True)
class FileFacts:
    """Properties of a video file, as its container and its first frame declare them."""

    codec: str
    width: int
    """Pixels, upright."""
    height: int
    """Pixels, upright."""
    rotation: int
    """Degrees counter-clockwise by which stored frames are turned for display: 0, 90, 180 or 270."""
    fps: float
    """Frames per second; if the rate varies, the rate between the pauses."""
    fps_varies: bool | None
    """Whether the time steps between frames differ; None if unknown."""
    duration: float | None
    """Seconds; None if the container does not declare a duration."""
    pixel_format: str
    hdr: str | None
    """Transfer function of high dynamic range, "PQ" or "HLG"; None for standard range."""
    audio: str | None
    """Codec of the first audio track."""
    interlaced: bool | None = None
    """Whether the first frame is interlaced; None if an earlier version of Framemill measured the file."""

    @staticmethod
    def of(video: VideoInfo | None, fps_varies: bool | None) -> FileFacts | None:
        """Returns the properties of a probed file; None if the file could not be read as video."""
        if video is None:
            return None
        values = {**asdict(video), "fps_varies": fps_varies}
        return FileFacts(**{entry.name: _rounded(values[entry.name]) for entry in fields(FileFacts)})


@dataclass(frozen=True)
class SourceRow:
    """A row of `ledger/sources.parquet`."""

    path: str
    """Path relative to the input."""
    source_id: str | None
    """sha256 of the content; None if the file was not read."""
    state: str
    """"ok", "filtered", "failed" or "duplicate"."""
    reason: Reason | None
    clips: int
    """Number of clips in the clips table."""
    provenance: dict[str, Any]
    facts: FileFacts | None = None
    """None if the file could not be read as video."""


def excluded_row(path: str, provenance: dict[str, Any], exclusion: Exclusion) -> SourceRow:
    """Returns the row of a source that a rule of `drop` excludes."""
    reason = Reason(Cause.EXCLUDED, score=exclusion.kind, detail=exclusion.glob)
    return SourceRow(path, None, "filtered", reason, 0, provenance)


def sources_table(rows: Sequence[SourceRow]) -> pa.Table:
    """Returns rows as a table of SOURCES_SCHEMA."""
    columns = reason_columns([row.reason for row in rows])
    for name in ("path", "source_id", "state", "clips", "provenance"):
        columns[name] = [getattr(row, name) for row in rows]
    for name, _ in FILE_FIELDS:
        columns[name] = [getattr(row.facts, name) if row.facts else None for row in rows]
    return pa.table({field.name: pa.array(columns[field.name], field.type) for field in SOURCES_SCHEMA})


def source_rows(table: pa.Table) -> list[SourceRow]:
    """Returns the rows of a table of SOURCES_SCHEMA."""
    names = ["path", "source_id", "state", "clips", "provenance", *(name for name, _ in FILE_FIELDS)]
    names = [name for name in names if name in table.column_names]
    rows = table.select(names).to_pylist()
    return [
        SourceRow(
            **{name: row.pop(name) for name in ("path", "source_id", "state", "clips", "provenance")},
            reason=reason,
            facts=FileFacts(**row) if row["codec"] else None,
        )
        for row, reason in zip(rows, reasons_from_columns(table), strict=True)
    ]


def _rounded(value: Any) -> Any:
    return round(value, DECIMALS) if isinstance(value, float) else value
