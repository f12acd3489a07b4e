"""Writing shards: tar files in the WebDataset layout, whose bytes depend only on their samples."""

from __future__ import annotations

import builtins
import hashlib
import json
import os
import tarfile
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from framemill.platform import storage

_TAR_BLOCK = tarfile.BLOCKSIZE
Member = tuple[str, int, int]
"""Extension, offset of the content in the shard in bytes, size of the content in bytes."""


@dataclass(frozen=True)
class Sample:
    """One sample of a shard: a clip's key and the content of its members."""

    key: str
    """Name of the clip, without dots or slashes."""
    members: dict[str, bytes]
    """Content of the members by extension, such as "mp4", "json" or "text.npy"."""


@dataclass(frozen=True)
class ShardInfo:
    """Properties of a written shard: its entry in the index, and the members of each sample."""

    name: str
    """File name."""
    sha256: str
    """sha256 of the file, hex."""
    bytes: int
    """Size of the file."""
    samples: int
    """Number of samples."""
    members: dict[str, list[Member]]
    """Members of each sample by key."""

    def to_json(self) -> builtins.bytes:
        """Returns the properties as JSON."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    @staticmethod
    def from_json(data: builtins.bytes) -> ShardInfo:
        """Returns the properties that `to_json` serialised."""
        values = json.loads(data)
        values["members"] = {key: [tuple(m) for m in members] for key, members in values["members"].items()}
        return ShardInfo(**values)


def shard_name(split: str, index: int, digest8: str) -> str:
    """Returns the file name of a shard: `train-000000-<digest8>.tar`."""
    return f"{split}-{index:06d}-{digest8}.tar"


def write_shard(directory: str, split: str, index: int, samples: Iterable[Sample], digest8: str) -> ShardInfo:
    """Writes one shard atomically and returns its properties.

    Samples are written in the given order, with members sorted by extension, and without dates and owners, so that
    equal samples give equal bytes.

    Args:
        directory: folder or URI of the shards.
        split: first part of the file name, such as "train".
        index: number of the shard, from 0.
        samples: samples, which are read one at a time.
        digest8: 8 hex digits that identify the version of the shard.

    Raises:
        ValueError: a key is empty, is not unique, or contains a dot or slash, at which WebDataset splits names.
    """
    name = shard_name(split, index, digest8)
    folder = storage.local_path(directory) if storage.is_local(directory) else tempfile.gettempdir()
    temporary = storage.temporary_path(os.path.join(folder, name))
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
                    block = _tar_header(f"{sample.key}.{extension}", len(content))
                    members[sample.key].append((extension, position + len(block), len(content)))
                    block += content + bytes(-len(content) % _TAR_BLOCK)
                    file.write(block)
                    hasher.update(block)
                    position += len(block)
            end = bytes(2 * _TAR_BLOCK)
            file.write(end)
            hasher.update(end)
        storage.commit_file(temporary, storage.join(directory, name))
    except BaseException:
        storage.remove(temporary)
        raise
    return ShardInfo(name, hasher.hexdigest(), position + len(end), len(members), members)


def _tar_header(name: str, size: int) -> bytes:
    """Returns the tar header of a member, without date and owner."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o644, 0
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
