"""Committing a version of a dataset: tables are staged, put in place, and the index is written last.

A process that is killed anywhere in here leaves the version before, or one that `finish_commit` completes.
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
"""Folder of the next version's tables until all of them are written."""
_PENDING = "work/pending.json"
"""Names of the shards that `shards/` may hold in addition to those of the index while a version is being made."""
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
    """Makes written shards a dataset, or the next version of one; shards of the version before are removed last.

    Args:
        output: the dataset's folder or URI.
        kind: the job that made it, "curate" or "encode".
        config_digest: digest of the job's config.
        shards: the shards of this version, in order.
        samples: one row a sample, with at least `key`; the columns `shard` and `members` are added here.
        ledger: tables by name, written to `ledger/<name>.parquet`.
        totals: counts for people, kept in the index.
        format_version: version of the ledger's tables; an older one where they are another dataset's.
        extra: further values for the index.
        extra_files: returns further files by name for the index; the index has no hash of them.

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
    """Puts a completely staged version in place and removes the shards that it does not name; else does nothing."""
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
    """Records the shards of the version that is being made, which `audit` then accepts next to those of the index."""
    index = committed_index(output)
    committed = [shard["name"] for shard in index["shards"]] if index else []
    storage.make_dirs(storage.join(output, "work"))
    storage.write_atomic(storage.join(output, _PENDING), json.dumps(sorted({*names, *committed})).encode())


def pending_shards(output: str) -> set[str]:
    """Returns the names that `allow_pending` recorded; empty when no version is being made."""
    uri = storage.join(output, _PENDING)
    return set(json.loads(storage.read_bytes(uri))) if storage.exists(uri) else set()


def _add_members(samples: pa.Table, shards: list[ShardInfo]) -> pa.Table:
    """Returns the samples table with each row's shard and members, sorted by position in the shards."""
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
