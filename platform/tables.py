"""Reading and writing Parquet tables by path or URI."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from framemill.platform import storage


def read_table(uri: str, columns: list[str] | None = None) -> pa.Table:
    """Returns the table of a Parquet file, with only the given columns unless `columns` is None.

    Arrow gets a path or bytes, never a Python file object, since its reader threads would call into an interpreter that
    may be shutting down, which aborts the process.
    """
    source = storage.local_path(uri) if storage.is_local(uri) else pa.BufferReader(storage.read_bytes(uri))
    return pq.read_table(source, columns=columns)


def write_table(folder: str, name: str, table: pa.Table) -> dict[str, Any]:
    """Writes a table as a Parquet file and returns the file's entry; equal tables give equal bytes.

    Returns:
        The file's entry for a dataset's index: `sha256`, `bytes` and `rows`.
    """
    buffer = io.BytesIO()
    pq.write_table(table.combine_chunks(), buffer, compression="zstd", store_schema=True)
    data = buffer.getvalue()
    storage.write_atomic(storage.join(folder, name), data)
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "rows": table.num_rows}
