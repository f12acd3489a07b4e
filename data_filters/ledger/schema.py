"""The Arrow schemas of the two ledger tables: one row for every source, one row for every clip."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from framemill.data_filters.ledger.reasons import REASON_FIELDS

PROVENANCE = pa.struct([("tags", pa.list_(pa.string())), ("licence", pa.string()), ("external", pa.string())])
"""Tags and licence of a source from its sidecar; `external` is JSON text, or null."""
VECTOR = pa.list_(pa.float32())
"""Type of a column of embeddings."""
FILE_FIELDS = [
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
    ("interlaced", pa.bool_()),
]
"""Columns of a source's file properties (`FileFacts`); null if the file could not be read."""
SOURCES_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("source_id", pa.string()),
        ("state", pa.string()),
        *REASON_FIELDS,
        ("clips", pa.int64()),
        ("provenance", PROVENANCE),
        *FILE_FIELDS,
    ]
)
"""Columns of `ledger/sources.parquet`."""
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
"""Columns of a clip that are always measured, whichever filters are enabled."""
STATE_FIELDS = [("state", pa.string()), *REASON_FIELDS, ("caption", pa.string())]
"""Columns of a clip that selection, deduplication, captioning and packing fill."""


def clips_schema(scores: Sequence[str], vectors: Sequence[str] = (), *, states: bool = True) -> pa.Schema:
    """Returns the schema of the clips table: fixed columns, one column per score, then one per embedding.

    Args:
        scores: names of the score columns.
        vectors: names of the embedding columns.
        states: whether to include STATE_FIELDS, as in `ledger/clips.parquet`.
    """
    measured = [*((name, pa.float64()) for name in scores), *((name, VECTOR) for name in vectors)]
    return pa.schema([*CLIP_FIELDS, *(STATE_FIELDS if states else []), *measured])
