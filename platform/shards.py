"""The dataset directory: deterministic WebDataset shards, Parquet tables beside them, and an index written last.

A shard is a plain tar whose bytes depend on its samples alone. `samples.parquet` knows where each member lies, so a
reader fetches one by offset. Nothing counts until `index.json` names it with its hash.
"""

from __future__ import annotations

import builtins
import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from framemill.platform import storage
from framemill.platform.errors import RequestError

FORMAT_VERSION = 2
"""Version 2: the ledger has the cause of each rejection as columns beside the sentence. Version 1 is read too."""
STAGED = "work/commit"
"""Where the tables of a version lie until all are there."""
PENDING = "work/pending.json"
"""The shards that may lie beside those of the index, while a version is being made."""
BLOCK = tarfile.BLOCKSIZE
MEMBERS_TYPE = pa.list_(pa.struct([("ext", pa.string()), ("offset", pa.int64()), ("size", pa.int64())]))
Member = tuple[str, int, int]
"""Extension, offset of the content in the shard, size: in bytes."""


@dataclass(frozen=True)
class Sample:
    """One clip as it is packed: a key without dots, and its members by extension ("mp4", "json", "text.npy")."""

    key: str
    members: dict[str, bytes]


@dataclass(frozen=True)
class ShardInfo:
    """A written shard: what the index says of it, and where each sample's members lie."""

    name: str
    sha256: str
    bytes: int
    samples: int
    members: dict[str, list[Member]]

    def to_json(self) -> builtins.bytes:
        return json.dumps(asdict(self), sort_keys=True).encode()

    @staticmethod
    def from_json(data: builtins.bytes) -> ShardInfo:
        values = json.loads(data)
        values["members"] = {key: [tuple(m) for m in members] for key, members in values["members"].items()}
        return ShardInfo(**values)


# ---------------------------------------------------------------------------------------------------- writing


def shard_name(split: str, index: int, digest8: str) -> str:
    return f"{split}-{index:06d}-{digest8}.tar"


def write_shard(directory: str, split: str, index: int, samples: Iterable[Sample], digest8: str) -> ShardInfo:
    """Writes one shard and commits it whole.

    Samples are written in the order given, the members of each by extension, with no dates and no owners: the same
    samples give the same bytes.

    Raises:
        ValueError: a key with a dot or slash in it (WebDataset would split there), or one that comes twice.
    """
    name = shard_name(split, index, digest8)
    folder = storage.local_path(directory) if storage.is_local(directory) else tempfile.gettempdir()
    temporary = storage.temporary_beside(os.path.join(folder, name))
    members: dict[str, list[Member]] = {}
    hasher = hashlib.sha256()
    position = 0
    try:
        with open(temporary, "wb") as file:
            for sample in samples:
                if sample.key in members or not sample.key or set(sample.key) & set("./"):
                    raise ValueError(f"sample key {sample.key!r} is not fit for a shard, or comes twice")
                members[sample.key] = []
                for extension, content in sorted(sample.members.items()):
                    block = tar_header(f"{sample.key}.{extension}", len(content))
                    members[sample.key].append((extension, position + len(block), len(content)))
                    block += content + bytes(-len(content) % BLOCK)
                    file.write(block)
                    hasher.update(block)
                    position += len(block)
            end = bytes(2 * BLOCK)
            file.write(end)
            hasher.update(end)
        storage.commit_file(temporary, storage.join(directory, name))
    except BaseException:
        storage.remove(temporary)
        raise
    return ShardInfo(name, hasher.hexdigest(), position + len(end), len(members), members)


def tar_header(name: str, size: int) -> bytes:
    """A member's header with nothing in it that changes from run to run."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o644, 0
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


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
    beside: Callable[[dict[str, Any]], dict[str, bytes]] | None = None,
) -> dict[str, Any]:
    """Makes written shards a dataset, or the next version of one.

    All is staged before any of it is put in place: what is killed here leaves the version before, or one that
    `finish_commit` completes. Shards of the version before are removed last.

    Args:
        kind: what made it, "curate" or "encode".
        samples: one row a sample, with at least `key`; the columns `shard` and `members` are added here.
        ledger: tables by name, written to `ledger/<name>.parquet`.
        totals: counts for people, kept in the index.
        format_version: that of the ledger tables.
        extra: further values for the index.
        beside: gives further files by name for the index, which does not vouch for them.

    Returns:
        The index.
    """
    staged = storage.join(output, STAGED)
    storage.remove(staged)
    files = {"samples.parquet": write_table(staged, "samples.parquet", with_members(samples, shards))}
    for name, table in sorted(ledger.items()):
        files[f"ledger/{name}.parquet"] = write_table(staged, f"ledger/{name}.parquet", table)
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
    for name, content in beside(index).items() if beside else ():
        storage.write_atomic(storage.join(staged, name), content)
    text = json.dumps(index, indent=1, sort_keys=True) + "\n"
    storage.write_atomic(storage.join(staged, "index.json"), text.encode())
    finish_commit(output)
    return index


def finish_commit(output: str) -> None:
    """Puts a version in place that was staged whole, and removes the shards it does not name; else does nothing."""
    staged = storage.join(output, STAGED)
    if not storage.exists(storage.join(staged, "index.json")):
        return
    for name in storage.walk(staged):
        if name != "index.json" and not os.path.basename(name).startswith("."):
            storage.move(storage.join(staged, name), storage.join(output, name))
    index = storage.read_bytes(storage.join(staged, "index.json"))
    storage.write_atomic(storage.join(output, "index.json"), index)
    named = {shard["name"] for shard in json.loads(index)["shards"]}
    folder = storage.join(output, "shards")
    for name in storage.list_dir(folder):
        if name not in named:
            storage.remove(storage.join(folder, name))
    storage.remove(storage.join(output, PENDING))
    storage.remove(staged)


def allow_pending(output: str, names: list[str]) -> None:
    """Notes that these shards may come to lie beside those of the index, and those of the index beside theirs."""
    index = committed_index(output)
    held = [shard["name"] for shard in index["shards"]] if index else []
    storage.make_dirs(storage.join(output, "work"))
    storage.write_atomic(storage.join(output, PENDING), json.dumps(sorted({*names, *held})).encode())


def pending_shards(output: str) -> set[str]:
    uri = storage.join(output, PENDING)
    return set(json.loads(storage.read_bytes(uri))) if storage.exists(uri) else set()


def index_digest(index: dict[str, Any]) -> str:
    """The identity of a dataset: a hash over everything its index says."""
    content = {name: value for name, value in index.items() if name != "digest"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def with_members(samples: pa.Table, shards: list[ShardInfo]) -> pa.Table:
    """The samples table with each row's shard and members, the rows in the order they have in the shards."""
    where = {
        key: (shard.name, members)
        for shard in shards
        for key, members in sorted(shard.members.items(), key=lambda item: item[1][0][1])
    }
    table = samples.filter(pa.array([key in where for key in samples["key"].to_pylist()], pa.bool_()))
    order = {key: position for position, key in enumerate(where)}
    rank = pa.array([order[key] for key in table["key"].to_pylist()], pa.int64())
    table = table.append_column("rank_", rank).sort_by("rank_").drop_columns(["rank_"])
    keys = table["key"].to_pylist()
    if len(keys) != len(where):
        raise ValueError(f"{len(where)} samples lie in the shards, {len(keys)} in the table")
    rows = [[{"ext": e, "offset": o, "size": s} for e, o, s in where[key][1]] for key in keys]
    table = table.append_column("shard", pa.array([where[key][0] for key in keys], pa.string()))
    return table.append_column("members", pa.array(rows, MEMBERS_TYPE))


def write_table(output: str, name: str, table: pa.Table) -> dict[str, Any]:
    """Writes a Parquet file; the same rows give the same bytes. Returns its hash, size and number of rows."""
    buffer = io.BytesIO()
    pq.write_table(table.combine_chunks(), buffer, compression="zstd", store_schema=True)
    data = buffer.getvalue()
    storage.write_atomic(storage.join(output, name), data)
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "rows": table.num_rows}


# ---------------------------------------------------------------------------------------------------- reading


class Dataset:
    """A committed dataset: rows of samples, each member read by offset."""

    def __init__(self, path: str, index: dict[str, Any], samples: pa.Table) -> None:
        self.path, self.index, self.samples = path, index, samples
        self._shards: list[str] = samples["shard"].to_pylist() if samples.num_rows else []
        self._members: list[dict[str, tuple[int, int]]] = [
            {m["ext"]: (m["offset"], m["size"]) for m in row} for row in samples["members"].to_pylist()
        ]

    @staticmethod
    def open(path: str) -> Dataset:
        """Opens the dataset in a folder.

        Raises:
            RequestError: there is no complete dataset, or its format is newer than this version reads.
        """
        index = read_index(path)
        return Dataset(str(path), index, read_table(storage.join(path, "samples.parquet")))

    @property
    def digest(self) -> str:
        return self.index["digest"]

    def __len__(self) -> int:
        return self.samples.num_rows

    def extensions(self, row: int) -> list[str]:
        return list(self._members[row])

    def read(self, row: int, extension: str) -> bytes:
        """One member's content.

        Raises:
            KeyError: the sample has no such member.
        """
        offset, length = self._members[row][extension]
        return storage.read_range(storage.join(self.path, "shards", self._shards[row]), offset, length)

    def row_of(self, key: str) -> int:
        return self._rows[key]

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {key: row for row, key in enumerate(self.samples["key"].to_pylist())}


def read_index(path: str) -> dict[str, Any]:
    """A dataset's index; RequestError where it is absent, broken, or of a newer format."""
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
    """A dataset's index as `read_index` gives it; None where nothing is committed there yet."""
    return read_index(path) if storage.exists(storage.join(path, "index.json")) else None


def read_ledger(path: str, name: str) -> pa.Table:
    """One of a dataset's ledger tables: "sources" or "clips"."""
    return read_table(storage.join(path, "ledger", f"{name}.parquet"))


def read_table(uri: str, columns: list[str] | None = None) -> pa.Table:
    """A Parquet file as a table.

    Arrow is given a path or bytes, never a Python file: its reading threads would call into an interpreter that may
    be shutting down, and abort it.
    """
    source = storage.local_path(uri) if storage.is_local(uri) else pa.BufferReader(storage.read_bytes(uri))
    return pq.read_table(source, columns=columns)
