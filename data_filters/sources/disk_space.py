"""Checks that the disk has enough free space for the shards that a curation may write."""

from __future__ import annotations

import os
import shutil

from framemill.data_filters.sources.archives import archive_uri
from framemill.data_filters.sources.source import Source
from framemill.platform import storage
from framemill.platform.errors import RequestError
from framemill.platform.progress import say

_EXACT_SHARE = 1.5
"""Bytes of shards per byte of source with pack.mode=exact: footage of lower quality than `pack.crf` grows."""
_REFUSED_SHARE = 10
"""Needed space divided by free space above which a disk is refused: a curation may keep only few of the clips."""


def bytes_needed(sources: list[Source], mode: str) -> int:
    """Returns the maximum bytes of the shards of these sources, which are needed if every clip is kept.

    Args:
        sources: sources whose clips may be packed.
        mode: `pack.mode`.
    """
    sizes = {archive_uri(source.uri) or source.uri: source.stamp.partition(":")[0] for source in sources}
    total = sum(int(size or 0) for size in sizes.values())
    return round(total * _EXACT_SHARE) if mode == "exact" else total


def bytes_free(output: str) -> int | None:
    """Returns the free bytes on the disk of `output`, which may not exist yet; None for an object store."""
    if not storage.is_local(output):
        return None
    folder = os.path.abspath(storage.local_path(output))
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return shutil.disk_usage(folder).free


def check_disk(output: str, need: int, free: int | None) -> None:
    """Prints a warning if the shards may not fit on the disk.

    Args:
        output: folder of the dataset; the bytes of shards that it already has are subtracted from `need`.
        need: maximum bytes of the shards, from `bytes_needed`.
        free: free bytes on the disk; None if unknown.

    Raises:
        RequestError: the needed space is more than 10 times the free space.
    """
    if free is None:
        return
    need -= _shard_bytes(output)
    if need <= free:
        return
    message = f"output={output}: the shards may need {_gigabytes(need)}, {_gigabytes(free)} are free"
    if need > free * _REFUSED_SHARE:
        raise RequestError(f"{message}; choose another disk, or check_disk=false to start all the same")
    say(f"curate: {message}")


def _shard_bytes(output: str) -> int:
    folder = os.path.join(storage.local_path(output), "shards")
    return sum(entry.stat().st_size for entry in os.scandir(folder)) if os.path.isdir(folder) else 0


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
