"""Folders of an input, and the sources in each: found by walking a local disk, or by listing an object store.

A listing of an object store costs one request per thousand files, and no request per file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from framemill.data_filters.sources.archives import list_archive
from framemill.data_filters.sources.file_names import is_archive, is_tar, is_video, printable_path
from framemill.data_filters.sources.source import Source, archive_stamp, file_stamp
from framemill.platform import storage

_DATASET_CONFIG, _DATASET_SHARDS = "config.yaml", "shards"
"""File and folder by which a dataset of Framemill is recognised."""


@dataclass(frozen=True)
class Folder:
    """A folder of the input, and the files in it."""

    path: str
    """Path relative to the input; "" for the input itself."""
    uri: str
    names: set[str]
    """Names of the files."""
    stamp: Callable[[str], str]
    """Function that returns the stamp of the file of a name; "" if there is no such file."""
    in_dataset: bool = False
    """Whether the folder holds the shards of a dataset of Framemill inside the input."""

    def sources(self, names: Iterable[str]) -> Iterator[Source]:
        """Yields the sources among the files of these names."""
        for name in names:
            path, uri = f"{self.path}/{name}".lstrip("/"), storage.join(self.uri, name)
            if is_video(name):
                yield Source(printable_path(path), uri, file_stamp(name, self.stamp))
            elif is_archive(name) and not name.startswith("."):
                yield from archive_sources(path, uri, archive_stamp(uri, self.names, self.stamp))

    def all_sources(self) -> Iterator[Source]:
        """Yields the sources in the folder.

        Tars of a dataset that was written inside its own input are skipped: they are no input of the next version.
        """
        yield from self.sources(name for name in sorted(self.names) if not (self.in_dataset and is_tar(name)))


def archive_sources(path: str, uri: str, stamp: str) -> Iterator[Source]:
    """Yields the videos in an archive as sources.

    An archive that cannot be read to its end is yielded as a source too, which fails with the reason.
    """
    listing = list_archive(uri)
    if listing.problem:
        yield Source(printable_path(path), uri, stamp)
    for name, member_uri in listing.uris.items():
        yield Source(printable_path(f"{path}/{name.removeprefix('./')}"), member_uri, stamp)


def walk_folders(root: str, depth: int | None = None) -> Iterator[Folder]:
    """Yields a folder and its subfolders, except hidden folders.

    Args:
        root: path or URI of the folder.
        depth: number of levels of folders to search; None: all.
    """
    return _local_folders(root, depth) if storage.is_local(root) else _remote_folders(root, depth)


def listed_folder(uri: str) -> Folder:
    """Returns one folder of an object store as if it were the input, from a single listing."""
    stamps = storage.list_tree(uri, 1)
    return Folder("", uri, set(stamps), _stamps_by_name(stamps))


def _local_folders(root: str, depth: int | None) -> Iterator[Folder]:
    """Yields local folders. Links are followed, each folder is yielded once, so that a loop of links ends."""
    visited: set[tuple[int, int]] = set()
    for folder, subfolders, names in os.walk(root, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in visited:
            subfolders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        path = os.path.relpath(folder, root).removeprefix(".")
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        if depth is not None and path.count("/") + bool(path) + 1 >= depth:
            subfolders.clear()
        # A pipe or a dangling link with the name of a video would block or fail the decoder.
        files = {name for name in names if not _is_source(name) or os.path.isfile(os.path.join(folder, name))}
        parent, _, own = path.rpartition("/")
        in_dataset = bool(parent) and own == _DATASET_SHARDS
        in_dataset = in_dataset and os.path.exists(os.path.join(root, parent, _DATASET_CONFIG))
        yield Folder(path, folder, files, _local_stamps(folder, files), in_dataset)


def _remote_folders(root: str, depth: int | None) -> Iterator[Folder]:
    stamps_by_folder: dict[str, dict[str, str]] = {}
    for path, stamp in storage.list_tree(root, depth).items():
        folder, _, name = path.rpartition("/")
        if not any(part.startswith(".") for part in folder.split("/")):
            stamps_by_folder.setdefault(folder, {})[name] = stamp
    for folder, stamps in sorted(stamps_by_folder.items()):
        parent, _, own = folder.rpartition("/")
        in_dataset = bool(parent) and own == _DATASET_SHARDS and _DATASET_CONFIG in stamps_by_folder.get(parent, {})
        uri = storage.join(root, folder).rstrip("/")
        yield Folder(folder, uri, set(stamps), _stamps_by_name(stamps), in_dataset)


def _local_stamps(folder: str, names: set[str]) -> Callable[[str], str]:
    return lambda name: storage.change_stamp(os.path.join(folder, name)) if name in names else ""


def _stamps_by_name(stamps: dict[str, str]) -> Callable[[str], str]:
    return lambda name: stamps.get(name, "")


def _is_source(name: str) -> bool:
    return is_video(name) or is_archive(name)
