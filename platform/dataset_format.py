"""The format of a dataset directory: its version, the states of its ledger, and its index.

A dataset is what `index.json` names, with a hash for each file; the index is written last.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import Any

import pyarrow as pa

from framemill.platform import storage
from framemill.platform.errors import RequestError

FORMAT_VERSION = 2
"""Version of the dataset format that this Framemill writes; it reads this one and all before it.

Version 2 added the cause of each rejection to both ledger tables, as columns behind its sentence (`reason`).
"""
SOURCE_STATES = ("ok", "filtered", "failed", "duplicate")
"""States of a row of `ledger/sources.parquet`."""
CLIP_STATES = ("kept", "filtered", "failed", "duplicate")
"""States of a row of `ledger/clips.parquet`; each clip that was found is in exactly one."""


def read_index(path: str) -> dict[str, Any]:
    """Returns the index of a committed dataset.

    Raises:
        RequestError: there is no dataset, its index is damaged, or its format is newer than this version reads.
    """
    try:
        index = json.loads(storage.read_bytes(storage.join(path, "index.json")))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise RequestError(f"{path}: no dataset here (no index.json)") from error
    except ValueError as error:
        raise RequestError(f"{path}: index.json is damaged") from error
    if index.get("format_version", 0) > FORMAT_VERSION:
        raise RequestError(f"{path}: format version {index['format_version']}; this Framemill reads {FORMAT_VERSION}")
    return index


def committed_index(path: str) -> dict[str, Any] | None:
    """Returns the index as `read_index` does, or None if nothing is committed in the folder yet.

    Raises:
        RequestError: the index is damaged or its format is newer than this version reads.
    """
    return read_index(path) if storage.exists(storage.join(path, "index.json")) else None


def index_digest(index: dict[str, Any]) -> str:
    """Returns the identity of a dataset: 16 hex digits of the sha256 of its index without the key `digest`."""
    content = {name: value for name, value in index.items() if name != "digest"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def conservation_problems(sources: pa.Table, clips: pa.Table) -> list[str]:
    """Returns what violates the conservation law, one line each; empty where the ledger is sound.

    The law: every source and every clip is there once, every clip that was found in a source has a row, and every row
    is in one known state.

    Args:
        sources: ledger table with the columns `path` and `clips` (number of clips found).
        clips: ledger table with the columns `key` and `state`.
    """
    problems = []
    if len(sources["path"].unique()) != len(sources):
        problems.append("ledger/sources.parquet: a source comes twice")
    if len(clips["key"].unique()) != len(clips):
        problems.append("ledger/clips.parquet: a clip comes twice")
    count = sum(sources["clips"].to_pylist())
    if count != len(clips):
        problems.append(f"ledger: {count} clips were found in the sources, {len(clips)} are in ledger/clips.parquet")
    for state, rows in Counter(clips["state"].to_pylist()).items():
        if state not in CLIP_STATES:
            problems.append(f"ledger/clips.parquet: {rows} clips are in the unknown state {state!r}")
    return problems
