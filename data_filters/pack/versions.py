"""versions.jsonl: a line for each committed version of a dataset. Its index knows nothing of them."""

from __future__ import annotations

import json
import time
from typing import Any

from framemill.platform import storage
from framemill.platform.dataset_format import committed_index
from framemill.platform.tables import read_table

VERSIONS = "versions.jsonl"
TABLES = {"sources": ("ledger/sources.parquet", "path"), "clips": ("samples.parquet", "key")}


def with_version(output: str, digest: str, held: dict[str, set[str]]) -> bytes:
    """The file with a line for the version to be committed; as it is where nothing differs from the last.

    Args:
        digest: of the new index.
        held: the sources (paths) and clips (keys) that the new version holds.
    """
    uri = storage.join(output, VERSIONS)
    text = storage.read_bytes(uri).decode() if storage.exists(uri) else ""
    lines = [json.loads(line) for line in text.splitlines()]
    if lines and lines[-1]["digest"] == digest:
        return text.encode()
    before = holdings(output)
    line: dict[str, Any] = {"version": len(lines) + 1, "digest": digest, "time": int(time.time())}
    for name, now in held.items():
        line[name] = len(now)
        line[f"{name}_came"], line[f"{name}_went"] = len(now - before[name]), len(before[name] - now)
    return (text + json.dumps(line) + "\n").encode()


def holdings(output: str) -> dict[str, set[str]]:
    """The sources and clips of the committed version; none where there is none."""
    if committed_index(output) is None:
        return {name: set() for name in TABLES}
    return {
        name: set(read_table(storage.join(output, file), [column])[column].to_pylist())
        for name, (file, column) in TABLES.items()
    }
