"""Committing a version of a dataset: tables are staged and moved into place, and the index is written last.

If the process is killed at any point, the output has either the previous version or a version that `finish_commit`
completes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from framemill.platform import storage
from framemill.platform.dataset_format import FORMAT_VERSION, committed_index, index_digest
from framemill.platform.shard_writer import ShardInfo
from framemill.platform.tables import write_table

_STAGING = "work/commit"
"""Folder in which the tables of the next version are staged."""
_PENDING = "work/pending.json"
"""File with the names of the shards that `shards/` may contain while a version is being written."""
_MEMBERS_TYPE = pa.list_(pa.struct([("ext", pa.string()), ("offset", pa.int64()), ("size", pa.int64())]))


def commit_dataset(
    output: str,
    *,
    kind: str,
    config_digest: str,
    shards: list[ShardInfo],
    samples: pa.Table,
    ledger: dict[str, pa.Table],
    totals: dict[str, Any],
    format_version: int = FORMAT_VERSION,
    extra: dict[str, Any] | None = None,
    extra_files: Callable[[dict[str, Any]], dict[str, bytes]] | None = None,
) -> dict[str, Any]:
    """Commits written shards as a dataset or as its next version, and returns the index.

    Shards that the new version does not contain are removed last.

    Args:
        output: the dataset's folder or URI.
        kind: the job that wrote the dataset, "curate" or "encode".
        config_digest: digest of the job's config.
        shards: the shards of this version, in order.
        samples: one row per sample, with at least the column `key`; the columns `shard` and `members` are added.
        ledger: tables by name, written to `ledger/<name>.parquet`.
        totals: counts for information, stored in the index.
        format_version: format version of the ledger; an older version if the ledger is copied from an older dataset.
        extra: additional values for the index.
        extra_files: function that returns additional files by name, given the index, which has no hashes of them.

    Returns:
        The index.

    Raises:
        ValueError: a sample of a shard has no row in `samples`.
    """
    staging = storage.join(output, _STAGING)
    storage.remove(staging)
    files = {"samples.parquet": write_table(staging, "samples.parquet", _add_members(samples, shards))}
    for name, table in sorted(ledger.items()):
        files[f"ledger/{name}.parquet"] = write_table(staging, f"ledger/{name}.parquet", table)
    index: dict[str, Any] = {
        "format_version": format_version,
        "kind": kind,
        "config_digest": config_digest,
        "totals": totals,
        "shards": [{k: v for k, v in asdict(shard).items() if k != "members"} for shard in shards],
        "files": files,
        **(extra or {}),
    }
    index["digest"] = index_digest(index)
    for name, content in extra_files(index).items() if extra_files else ():
        storage.write_atomic(storage.join(staging, name), content)
    text = json.dumps(index, indent=1, sort_keys=True) + "\n"
    storage.write_atomic(storage.join(staging, "index.json"), text.encode())
    finish_commit(output)
    return index


def finish_commit(output: str) -> None:
    """Completes the commit of a completely staged version and removes obsolete shards; does nothing without one."""
    staging = storage.join(output, _STAGING)
    if not storage.exists(storage.join(staging, "index.json")):
        return
    for name in storage.walk(staging):
        if name != "index.json" and not os.path.basename(name).startswith("."):
            storage.move(storage.join(staging, name), storage.join(output, name))
    index = storage.read_bytes(storage.join(staging, "index.json"))
    storage.write_atomic(storage.join(output, "index.json"), index)
    current = {shard["name"] for shard in json.loads(index)["shards"]}
    folder = storage.join(output, "shards")
    for name in storage.list_dir(folder):
        if name not in current:
            storage.remove(storage.join(folder, name))
    storage.remove(storage.join(output, _PENDING))
    storage.remove(staging)


def allow_pending(output: str, names: list[str]) -> None:
    """Records the shards of the version that is being written, which `audit` then accepts in addition to the index."""
    index = committed_index(output)
    committed = [shard["name"] for shard in index["shards"]] if index else []
    storage.make_dirs(storage.join(output, "work"))
    storage.write_atomic(storage.join(output, _PENDING), json.dumps(sorted({*names, *committed})).encode())


def pending_shards(output: str) -> set[str]:
    """Returns the names that `allow_pending` recorded; empty if no version is being written."""
    uri = storage.join(output, _PENDING)
    return set(json.loads(storage.read_bytes(uri))) if storage.exists(uri) else set()


def _add_members(samples: pa.Table, shards: list[ShardInfo]) -> pa.Table:
    """Returns the samples table with the columns `shard` and `members`, sorted by position in the shards."""
    location = {
        key: (shard.name, members)
        for shard in shards
        for key, members in sorted(shard.members.items(), key=lambda item: item[1][0][1])
    }
    table = samples.filter(pa.array([key in location for key in samples["key"].to_pylist()], pa.bool_()))
    order = {key: position for position, key in enumerate(location)}
    rank = pa.array([order[key] for key in table["key"].to_pylist()], pa.int64())
    table = table.append_column("rank_", rank).sort_by("rank_").drop_columns(["rank_"])
    keys = table["key"].to_pylist()
    if len(keys) != len(location):
        raise ValueError(f"the shards have {len(location)} samples, the table has {len(keys)}")
    rows = [[{"ext": e, "offset": o, "size": s} for e, o, s in location[key][1]] for key in keys]
    table = table.append_column("shard", pa.array([location[key][0] for key in keys], pa.string()))
    return table.append_column("members", pa.array(rows, _MEMBERS_TYPE))
