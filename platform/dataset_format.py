"""The format of a dataset directory: format version, states of the ledger, and index.

A dataset consists of the files that `index.json` names, with a hash of each; the index is written last.
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
"""Version of the dataset format that is written; this and all earlier versions can be read.

Version 2 added structured columns with the cause of each rejection to both ledger tables, after the text column
`reason`.
"""
SOURCE_STATES = ("ok", "filtered", "failed", "duplicate")
"""States of a row of `ledger/sources.parquet`."""
CLIP_STATES = ("kept", "filtered", "failed", "duplicate")
"""States of a row of `ledger/clips.parquet`; each clip is in exactly one state."""


def read_index(path: str) -> dict[str, Any]:
    """Returns the index of a committed dataset.

    Raises:
        RequestError: there is no dataset, its index is damaged, or its format is newer than FORMAT_VERSION.
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
    """Returns the index of a dataset, or None if nothing is committed in the folder.

    Raises:
        RequestError: the index is damaged or its format is newer than FORMAT_VERSION.
    """
    return read_index(path) if storage.exists(storage.join(path, "index.json")) else None


def index_digest(index: dict[str, Any]) -> str:
    """Returns the digest of a dataset: 16 hex digits of the sha256 of its index without the key `digest`."""
    content = {name: value for name, value in index.items() if name != "digest"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def conservation_problems(sources: pa.Table, clips: pa.Table) -> list[str]:
    """Returns one line for each violation of the conservation law; empty if the ledger obeys it.

    The law: no source and no clip has two rows, the numbers of clips found in the sources add up to the number of rows
    of clips, and every clip is in a known state.

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
