"""Does a dataset hold what its index says? Every byte hashed again, every row counted again."""

from __future__ import annotations

import json
import tarfile
from typing import Any

from framemill.platform import storage
from framemill.platform.dataset import read_ledger
from framemill.platform.dataset_commit import pending_shards
from framemill.platform.dataset_format import conservation_problems, index_digest, read_index
from framemill.platform.tables import read_table


def audit_dataset(path: str) -> list[str]:
    """The problems of a dataset, one line each; none means that it is whole.

    Checks the index against itself, every shard and table against its hash and count, every sample's members against
    the shard's own directory, and the conservation law: every clip found is in exactly one state.
    """
    index = read_index(path)
    problems = []
    if index_digest(index) != index.get("digest"):
        problems.append("index.json: its digest does not fit its content")
    for name, entry in index["files"].items():
        problems.extend(check_file(path, name, entry))
    folder = storage.join(path, "shards")
    # A version under way has shards here that count for nothing yet.
    listed = {shard["name"] for shard in index["shards"]} | pending_shards(path)
    for shard in index["shards"]:
        problems.extend(check_file(path, f"shards/{shard['name']}", shard))
    extra = [name for name in storage.list_dir(folder) if name not in listed and not name.startswith(".tmp-")]
    problems.extend(f"shards/{name}: is not in the index" for name in extra)
    if problems:
        return problems
    return check_samples(path, index) + check_conservation(path, index)


def check_file(path: str, name: str, entry: dict[str, Any]) -> list[str]:
    uri = storage.join(path, name)
    if not storage.exists(uri):
        return [f"{name}: missing"]
    if storage.size(uri) != entry["bytes"]:
        return [f"{name}: {storage.size(uri)} bytes, the index says {entry['bytes']}"]
    if storage.sha256_file(uri) != entry["sha256"]:
        return [f"{name}: its content changed (sha256 differs from the index)"]
    return []


def check_samples(path: str, index: dict[str, Any]) -> list[str]:
    """Every sample's members lie in its shard where the table says, and nothing else lies there."""
    rows = read_table(storage.join(path, "samples.parquet"), ["key", "shard", "members"]).to_pylist()
    promised: dict[str, dict[str, tuple[int, int]]] = {shard["name"]: {} for shard in index["shards"]}
    for row in rows:
        for member in row["members"]:
            promised[row["shard"]][f"{row['key']}.{member['ext']}"] = (member["offset"], member["size"])
    problems = []
    for shard in index["shards"]:
        with storage.open_input(storage.join(path, "shards", shard["name"])) as file, tarfile.open(fileobj=file) as tar:
            found = {member.name: (member.offset_data, member.size) for member in tar}
        if found != promised[shard["name"]]:
            problems.append(f"shards/{shard['name']}: its members differ from samples.parquet")
    return problems


def check_conservation(path: str, index: dict[str, Any]) -> list[str]:
    """The ledger obeys the conservation law, and every kept clip is a sample."""
    if not {"ledger/sources.parquet", "ledger/clips.parquet"} <= index["files"].keys():
        return ["ledger: sources or clips are missing from the index"]
    clips = read_ledger(path, "clips")
    problems = conservation_problems(read_ledger(path, "sources"), clips)
    kept = clips["state"].to_pylist().count("kept")
    samples = sum(shard["samples"] for shard in index["shards"])
    if kept != samples:
        problems.append(f"ledger: {kept} clips are kept, {samples} samples are in the shards")
    return problems


# ---------------------------------------------------------------------------------------------------- runs


def audit(path: str) -> list[str]:
    """The problems of a dataset or of a run directory, one line each.

    Raises:
        RequestError: the folder holds neither.
    """
    checkpoints = storage.join(path, "checkpoints")
    if storage.exists(storage.join(path, "index.json")) or not storage.exists(checkpoints):
        return audit_dataset(path)
    return [
        problem
        for name in storage.list_dir(checkpoints)
        if not name.startswith(".")
        for problem in audit_manifest(storage.join(checkpoints, name), f"checkpoints/{name}")
    ]


def audit_manifest(folder: str, label: str) -> list[str]:
    """Checks every file of a committed folder against its `manifest.json`."""
    manifest = storage.join(folder, "manifest.json")
    if not storage.exists(manifest):
        return [f"{label}: has no manifest.json: it was never finished"]
    files = json.loads(storage.read_bytes(manifest))["files"]
    found = set(storage.walk(folder)) - {"manifest.json"}
    problems = [f"{label}/{name}: is not in the manifest" for name in sorted(found - files.keys())]
    for name, entry in sorted(files.items()):
        problems.extend(f"{label}/{problem}" for problem in check_file(folder, name, entry))
    return problems
