"""Auditing a dataset or a run: all files are hashed and all rows counted again."""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass
from typing import Any

from framemill.platform import storage
from framemill.platform.dataset import read_ledger
from framemill.platform.dataset_commit import pending_shards
from framemill.platform.dataset_format import conservation_problems, index_digest, read_index
from framemill.platform.tables import read_table


@dataclass(frozen=True)
class AuditResult:
    """The result of an audit."""

    path: str
    """Folder or URI of the output."""
    problems: list[str]
    """One line per problem; empty if the output is intact."""
    unchecked: list[str]
    """Sorted names of files, and of folders with a `/` at the end, for which the output records no hash."""

    def lines(self) -> list[str]:
        """Returns the result as lines of text, with the summary last."""
        verdict = f"{len(self.problems)} problems" if self.problems else "whole"
        unchecked = [f"not checked, as no hash is recorded: {', '.join(self.unchecked)}"] if self.unchecked else []
        return [f"audit: {line}" for line in (*self.problems, *unchecked, f"{self.path}: {verdict}")]


def audit(path: str) -> AuditResult:
    """Audits a dataset or a run directory.

    For a dataset, the audit checks the index against its digest, every shard and table against its hash, the members in
    samples.parquet against the members of each tar file, and the conservation law of the ledger. For a run directory,
    the audit checks every file of each checkpoint against the checkpoint's manifest.

    Raises:
        RequestError: the folder contains neither a dataset nor checkpoints.
    """
    checkpoints = storage.join(path, "checkpoints")
    if storage.exists(storage.join(path, "index.json")) or not storage.exists(checkpoints):
        index = read_index(path)
        return AuditResult(
            path, _dataset_problems(path, index), _unchecked(path, {"index.json", "shards", *index["files"]})
        )
    problems = [
        problem
        for name in storage.list_dir(checkpoints)
        if not name.startswith(".")
        for problem in _manifest_problems(storage.join(checkpoints, name), f"checkpoints/{name}")
    ]
    return AuditResult(path, problems, _unchecked(path, {"checkpoints"}))


def _unchecked(path: str, checked: set[str]) -> list[str]:
    """Returns the entries of a folder that are not in `checked`, with a `/` at the end of folder names."""
    folders = {name.partition("/")[0] for name in checked if "/" in name}
    entries = [name for name in storage.list_dir(path) if name not in checked | folders]
    return [f"{name}/" if storage.is_dir(storage.join(path, name)) else name for name in entries]


def _dataset_problems(path: str, index: dict[str, Any]) -> list[str]:
    problems = []
    if index_digest(index) != index.get("digest"):
        problems.append("index.json: its digest does not fit its content")
    for name, entry in index["files"].items():
        problems.extend(_file_problems(path, name, entry))
    folder = storage.join(path, "shards")
    # Shards of a version that is not yet committed are allowed, and are not part of the dataset.
    allowed = {shard["name"] for shard in index["shards"]} | pending_shards(path)
    for shard in index["shards"]:
        problems.extend(_file_problems(path, f"shards/{shard['name']}", shard))
    extra = [name for name in storage.list_dir(folder) if name not in allowed and not name.startswith(".tmp-")]
    problems.extend(f"shards/{name}: is not in the index" for name in extra)
    if problems:
        return problems
    return _sample_problems(path, index) + _ledger_problems(path, index)


def _file_problems(path: str, name: str, entry: dict[str, Any]) -> list[str]:
    """Returns the problems of one file: missing, or its size or sha256 differs from its entry in the index."""
    uri = storage.join(path, name)
    if not storage.exists(uri):
        return [f"{name}: missing"]
    if storage.size(uri) != entry["bytes"]:
        return [f"{name}: {storage.size(uri)} bytes, the index says {entry['bytes']}"]
    if storage.sha256_file(uri) != entry["sha256"]:
        return [f"{name}: its content changed (sha256 differs from the index)"]
    return []


def _sample_problems(path: str, index: dict[str, Any]) -> list[str]:
    """Returns the shards whose members, offsets or sizes differ from samples.parquet."""
    rows = read_table(storage.join(path, "samples.parquet"), ["key", "shard", "members"]).to_pylist()
    expected: dict[str, dict[str, tuple[int, int]]] = {shard["name"]: {} for shard in index["shards"]}
    for row in rows:
        for member in row["members"]:
            expected[row["shard"]][f"{row['key']}.{member['ext']}"] = (member["offset"], member["size"])
    problems = []
    for shard in index["shards"]:
        with storage.open_input(storage.join(path, "shards", shard["name"])) as file, tarfile.open(fileobj=file) as tar:
            members = {member.name: (member.offset_data, member.size) for member in tar}
        if members != expected[shard["name"]]:
            problems.append(f"shards/{shard['name']}: its members differ from samples.parquet")
    return problems


def _ledger_problems(path: str, index: dict[str, Any]) -> list[str]:
    """Returns the violations of the ledger's conservation law, and kept clips that are not samples."""
    if not {"ledger/sources.parquet", "ledger/clips.parquet"} <= index["files"].keys():
        return ["ledger: sources or clips are missing from the index"]
    clips = read_ledger(path, "clips")
    problems = conservation_problems(read_ledger(path, "sources"), clips)
    kept = clips["state"].to_pylist().count("kept")
    samples = sum(shard["samples"] for shard in index["shards"])
    if kept != samples:
        problems.append(f"ledger: {kept} clips are kept, {samples} samples are in the shards")
    return problems


def _manifest_problems(folder: str, label: str) -> list[str]:
    """Returns the files of a checkpoint that are not in its `manifest.json` or differ from it."""
    manifest = storage.join(folder, "manifest.json")
    if not storage.exists(manifest):
        return [f"{label}: has no manifest.json: it was never finished"]
    files = json.loads(storage.read_bytes(manifest))["files"]
    names = set(storage.walk(folder)) - {"manifest.json"}
    problems = [f"{label}/{name}: is not in the manifest" for name in sorted(names - files.keys())]
    for name, entry in sorted(files.items()):
        problems.extend(f"{label}/{problem}" for problem in _file_problems(folder, name, entry))
    return problems
