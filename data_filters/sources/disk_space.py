"""Whether the disk can hold what a curation may write."""

from __future__ import annotations

import os
import shutil

from framemill.data_filters.sources.listing import Source
from framemill.platform import storage
from framemill.platform.errors import RequestError
from framemill.platform.progress import say

EXACT_SHARE = 1.5
"""Bytes of `pack.mode=exact` a byte of source: footage that was encoded tighter than `pack.crf` grows."""
CLEARLY = 10
"""Selection may keep little, so only a disk that could not hold a tenth is clearly too small."""


def bytes_needed(sources: list[Source], mode: str) -> int:
    """At most how much the shards of these sources come to, were every clip kept."""
    total = sum(int(source.stamp.partition(":")[0] or 0) for source in sources)
    return round(total * EXACT_SHARE) if mode == "exact" else total


def bytes_free(output: str) -> int | None:
    """Free bytes where `output` is to lie; None for an object store."""
    if not storage.is_local(output):
        return None
    folder = os.path.abspath(storage.local_path(output))
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return shutil.disk_usage(folder).free


def bytes_held(output: str) -> int:
    """What the shards of a local output come to already."""
    folder = os.path.join(storage.local_path(output), "shards")
    return sum(entry.stat().st_size for entry in os.scandir(folder)) if os.path.isdir(folder) else 0


def check_disk(output: str, need: int, free: int | None) -> None:
    """Says so where the disk may not do.

    Args:
        need: bytes at most, by `bytes_needed` or another dataset's size.
        free: bytes that the disk has left; None where that is not known.

    Raises:
        RequestError: it clearly will not do.
    """
    if free is None:
        return
    need -= bytes_held(output)
    if need <= free:
        return
    told = f"output={output}: the shards may need {gigabytes(need)}, {gigabytes(free)} are free"
    if need > free * CLEARLY:
        raise RequestError(f"{told}; choose another disk, or check_disk=false to start all the same")
    say(f"curate: {told}")


def gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
