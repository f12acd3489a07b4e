"""The file versions.jsonl of a dataset: one line per committed version. The index does not contain its hash."""

from __future__ import annotations

import json
import time
from typing import Any

from framemill.platform import storage
from framemill.platform.dataset_format import committed_index
from framemill.platform.tables import read_table

VERSIONS = "versions.jsonl"
"""File name in the output."""
_TABLES = {"sources": ("ledger/sources.parquet", "path"), "clips": ("samples.parquet", "key")}
"""Table and column with the names of a version's sources and clips."""


def with_version(output: str, digest: str, names: dict[str, set[str]]) -> bytes:
    """Returns the content of versions.jsonl with a line for the version to be committed.

    A version whose digest equals that of the last version gets no line.

    Args:
        output: folder or URI of the dataset.
        digest: digest of the new index.
        names: "sources" (paths) and "clips" (keys) of the new version.
    """
    uri = storage.join(output, VERSIONS)
    text = storage.read_bytes(uri).decode() if storage.exists(uri) else ""
    lines = [json.loads(line) for line in text.splitlines()]
    if lines and lines[-1]["digest"] == digest:
        return text.encode()
    before = _committed_names(output)
    line: dict[str, Any] = {"version": len(lines) + 1, "digest": digest, "time": int(time.time())}
    for kind, now in names.items():
        line[kind] = len(now)
        line[f"{kind}_came"], line[f"{kind}_went"] = len(now - before[kind]), len(before[kind] - now)
    return (text + json.dumps(line) + "\n").encode()


def _committed_names(output: str) -> dict[str, set[str]]:
    """Returns the source paths and clip keys of the committed version; empty sets if nothing is committed."""
    if committed_index(output) is None:
        return {kind: set() for kind in _TABLES}
    return {
        kind: set(read_table(storage.join(output, file), [column])[column].to_pylist())
        for kind, (file, column) in _TABLES.items()
    }
