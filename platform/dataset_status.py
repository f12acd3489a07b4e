"""Status lines of a dataset: the committed version, and shards that are not yet committed."""

from __future__ import annotations

from framemill.platform import storage
from framemill.platform.dataset_commit import pending_shards
from framemill.platform.dataset_format import read_index

GOES_ON = "the same command goes on from here"
"""Ending of status lines about unfinished work."""


def dataset_status(path: str, names: list[str]) -> list[str]:
    """Returns a line about the committed dataset in a folder, or [] if nothing is committed.

    Args:
        path: the folder, as a path or URI.
        names: names of the files in the folder.

    Raises:
        RequestError: the index is damaged or its format is newer than this version supports.
    """
    if "index.json" not in names:
        return []
    index = read_index(path)
    samples = sum(shard["samples"] for shard in index["shards"])
    return [f"dataset {index['digest']} complete: {samples} samples in {len(index['shards'])} shards"]


def uncommitted_status(path: str, names: list[str]) -> list[str]:
    """Returns a line about shards that are written but not yet committed, or [] if there are none.

    Args:
        path: the folder, as a path or URI.
        names: names of the files in the folder.
    """
    if "index.json" in names:
        committed = {shard["name"] for shard in read_index(path)["shards"]}
        return [f"a new version is not yet committed; {GOES_ON}"] if pending_shards(path) - committed else []
    shards = [name for name in storage.list_dir(storage.join(path, "shards")) if name.endswith(".tar")]
    return [f"packed: {len(shards)} shards, not yet committed; {GOES_ON}"] if shards else []
