"""The sources of an input, sorted by path."""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
from collections.abc import Iterator

from fsspec.utils import glob_translate

from framemill.data_filters.sources.file_names import VIDEO_SUFFIXES, is_archive, printable_path
from framemill.data_filters.sources.folders import Folder, archive_sources, listed_folder, walk_folders
from framemill.data_filters.sources.source import Source, source_stamp
from framemill.platform import storage
from framemill.platform.errors import RequestError
from framemill.platform.text import file_lines

_LIST_SUFFIXES = (".txt", ".lst")
_WILDCARDS = frozenset("*?[")


def list_sources(input: str, limit: int = 0) -> list[Source]:
    """Returns the sources of an input, sorted by path.

    Hidden files and folders are skipped.

    Args:
        input: path or URI of a folder (searched with its subfolders), a glob, a text file of paths (one a line), a zip
            or tar of videos, or a video.
        limit: maximum number of sources; 0: all.

    Raises:
        RequestError: the input does not exist or has no video, or two sources would have the same path.
        StorageError: an object store did not answer.
    """
    sources = sorted(set(_find_sources(input)), key=lambda source: (source.path, source.uri))
    if not sources:
        raise RequestError(f"input={input}: no video there; files end in {', '.join(VIDEO_SUFFIXES)}, .zip or .tar")
    duplicates = {source.path for source, after in itertools.pairwise(sources) if source.path == after.path}
    if duplicates:
        raise RequestError(f"input={input}: two files would both be called {min(duplicates)}; rename or move one")
    return sources[: limit or None]


def _find_sources(input: str) -> Iterator[Source]:
    base = storage.local_path(input) if storage.is_local(input) else input.rstrip("/")
    if storage.is_dir(base):
        for folder in walk_folders(base):
            yield from folder.all_sources()
    elif storage.exists(base):
        if base.lower().endswith(_LIST_SUFFIXES):
            yield from _sources_in_list(base)
        else:
            yield from _sources_of_file(os.path.basename(base), base)
    elif _WILDCARDS & set(base):
        root = base[: min(base.index(sign) for sign in _WILDCARDS if sign in base)].rpartition("/")[0]
        pattern = base.removeprefix(root).lstrip("/")
        expression = re.compile(glob_translate(pattern))
        for folder in walk_folders(root or ".", None if "**" in pattern else pattern.count("/") + 1):
            names = sorted(folder.names)
            yield from folder.sources(n for n in names if expression.match(f"{folder.path}/{n}".lstrip("/")))
    else:
        raise RequestError(
            f"input={input}: there is no such folder or file; must be a folder, a glob, a text file of paths, a zip or "
            "tar of videos, a video, or a URI of one"
        )


def _sources_in_list(uri: str) -> Iterator[Source]:
    """Yields the sources that a text file lists.

    A relative path starts at the folder of the text file. Empty lines and lines that begin with # are skipped.
    """
    home = uri.rpartition("/")[0] or "."
    folders: dict[str, Folder] = {}
    for line in file_lines(storage.read_bytes(uri).decode("utf-8-sig", "surrogateescape")):
        name = line.strip()
        if not name or name.startswith("#"):
            continue
        full = name if name.startswith("/") or "://" in name else storage.join(home, name)
        path = name.removeprefix(home + "/").lstrip("/")
        folder, _, file = full.rpartition("/")
        if storage.is_local(full):
            exists = os.path.exists(storage.local_path(full))
            sources = _sources_of_file(path, storage.local_path(full))
        else:
            if folder not in folders:
                folders[folder] = listed_folder(folder)
            exists = file in folders[folder].names
            sources = dataclasses.replace(folders[folder], path=path.rpartition("/")[0]).sources([file])
        if not exists:
            raise RequestError(f"input={uri}: it lists {name}, which does not exist; remove or mend the line")
        yield from sources


def _sources_of_file(path: str, uri: str) -> Iterator[Source]:
    """Yields the videos of an archive as sources, or any other file as one source."""
    if is_archive(uri):
        yield from archive_sources(path, uri, source_stamp(uri))
    else:
        yield Source(printable_path(path), uri, source_stamp(uri))
