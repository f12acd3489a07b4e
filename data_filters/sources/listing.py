"""Which videos there are to curate, in an order that depends on their names alone.

A video is a file, or a member of a zip. A folder is read as a whole: in an object store listing costs a request for
each thousand files, and none for a file.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass

from fsspec.utils import glob_translate

from framemill.data_filters.sources.archives import (
    ArchiveError,
    beside_archive,
    copy_member,
    is_archive,
    member_names,
    member_uri,
    read_beside_member,
    split_member,
)
from framemill.data_filters.sources.sidecars import Provenance, read_beside, sidecar_names
from framemill.platform import storage
from framemill.platform.errors import RequestError

VIDEO_SUFFIXES = (
    ".mp4",
    ".mov",
    ".mkv",
    ".webm",
    ".avi",
    ".m4v",
    ".mpg",
    ".mpeg",
    ".ts",
    ".m2ts",
    ".mts",
    ".wmv",
    ".flv",
    ".ogv",
    ".3gp",
    ".mxf",
    ".gif",
)
LIST_SUFFIXES = (".txt", ".lst")
WILDCARDS = frozenset("*?[")


@dataclass(frozen=True)
class Source:
    path: str
    """Relative to the input: its key in the ledger. Of a member of a zip: the zip's, and its own name."""
    uri: str
    """Where it is read."""
    stamp: str
    """Size and date of the file and of what lies beside it: measured again where this changed."""

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Source:
        return Source(**json.loads(text))


@dataclass(frozen=True)
class Folder:
    """A folder of the input, and what is in it."""

    path: str
    """Relative to the input; "" for the input itself."""
    uri: str
    names: set[str]
    stamp: Callable[[str], str]
    """Of the file of a name, "" where there is none."""

    def sources(self, chosen: Iterable[str]) -> Iterator[Source]:
        """The videos among the chosen files of this folder."""
        for name in chosen:
            path, uri = f"{self.path}/{name}".lstrip("/"), storage.join(self.uri, name)
            if is_video(name):
                yield Source(printable(path), uri, video_stamp(name, self.stamp))
            elif is_archive(name) and not name.startswith("."):
                yield from members(path, uri, archive_stamp(name, self.names, self.stamp))


def list_sources(input: str, limit: int = 0) -> list[Source]:
    """The videos of a folder (searched whole), a glob, a text file of paths (one a line), a zip, or a single video.

    Hidden files and folders are passed over. Sorted by path; the first `limit` where that is not 0.

    Raises:
        RequestError: there is no such input, or no video in it.
        StorageError: an object store did not answer.
    """
    found = sorted(set(find(input)), key=lambda source: (source.path, source.uri))
    if not found:
        raise RequestError(f"input={input}: no video there; files end in {', '.join(VIDEO_SUFFIXES)}")
    twice = {one.path for one, after in itertools.pairwise(found) if one.path == after.path}
    if twice:
        raise RequestError(f"input={input}: two files would both be called {min(twice)}")
    return found[: limit or None]


def find(input: str) -> Iterator[Source]:
    base = storage.local_path(input) if storage.is_local(input) else input.rstrip("/")
    if storage.is_dir(base):
        for folder in folders(base):
            yield from folder.sources(sorted(folder.names))
    elif storage.exists(base):
        if base.lower().endswith(LIST_SUFFIXES):
            yield from listed(base)
        else:
            yield from single(os.path.basename(base), base)
    elif WILDCARDS & set(base):
        root = base[: min(base.index(sign) for sign in WILDCARDS if sign in base)].rpartition("/")[0]
        pattern = base.removeprefix(root).lstrip("/")
        fits = re.compile(glob_translate(pattern))
        for folder in folders(root or ".", None if "**" in pattern else pattern.count("/") + 1):
            yield from folder.sources(n for n in sorted(folder.names) if fits.match(f"{folder.path}/{n}".lstrip("/")))
    else:
        raise RequestError(f"input={input}: there is no such folder or file")


def folders(root: str, depth: int | None = None) -> Iterator[Folder]:
    """The folders below one and itself, hidden ones passed over; no further down than `depth` levels."""
    return local_folders(root, depth) if storage.is_local(root) else remote_folders(root, depth)


def local_folders(root: str, depth: int | None) -> Iterator[Folder]:
    """Links are followed, each folder once, so that a loop of links ends."""
    seen: set[tuple[int, int]] = set()
    for folder, below, names in os.walk(root, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            below.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        path = os.path.relpath(folder, root).removeprefix(".")
        below[:] = sorted(name for name in below if not name.startswith("."))
        if depth is not None and path.count("/") + bool(path) + 1 >= depth:
            below.clear()
        held = {name for name in names if not may_be_source(name) or os.path.isfile(os.path.join(folder, name))}
        yield Folder(path, folder, held, local_stamps(folder, held))


def local_stamps(folder: str, names: set[str]) -> Callable[[str], str]:
    return lambda name: storage.change_stamp(os.path.join(folder, name)) if name in names else ""


def remote_folders(root: str, depth: int | None) -> Iterator[Folder]:
    held: dict[str, dict[str, str]] = {}
    for path, stamp in storage.list_tree(root, depth).items():
        folder, _, name = path.rpartition("/")
        if not any(part.startswith(".") for part in folder.split("/")):
            held.setdefault(folder, {})[name] = stamp
    for folder, stamps in sorted(held.items()):
        yield Folder(folder, storage.join(root, folder).rstrip("/"), set(stamps), stamps_of(stamps))


def stamps_of(stamps: dict[str, str]) -> Callable[[str], str]:
    return lambda name: stamps.get(name, "")


def listed(uri: str) -> Iterator[Source]:
    """The paths in a text file, relative ones from its folder; an empty line or one that begins with # is no path."""
    home = uri.rpartition("/")[0] or "."
    held: dict[str, dict[str, str]] = {}
    for line in storage.read_bytes(uri).decode().splitlines():
        name = line.strip()
        if not name or name.startswith("#"):
            continue
        full = name if name.startswith("/") or "://" in name else storage.join(home, name)
        path = name.removeprefix(home + "/").lstrip("/")
        folder, _, own = full.rpartition("/")
        if storage.is_local(full):
            there = os.path.exists(storage.local_path(full))
            found = single(path, storage.local_path(full))
        else:
            if folder not in held:
                held[folder] = storage.list_tree(folder, 1)
            there = own in held[folder]
            inside = Folder(path.rpartition("/")[0], folder, set(held[folder]), stamps_of(held[folder]))
            found = inside.sources([own])
        if not there:
            raise RequestError(f"input={uri}: it lists {name}, which does not exist")
        yield from found


def single(path: str, uri: str) -> Iterator[Source]:
    """The one video of a file, whatever it is called, or those of a zip."""
    if is_archive(uri):
        yield from members(path, uri, stamp_of(uri))
    else:
        yield Source(printable(path), uri, stamp_of(uri))


def members(path: str, uri: str, stamp: str) -> Iterator[Source]:
    """The videos in a zip. One that cannot be read is a source itself, which will fail with the reason."""
    try:
        names = member_names(uri)
    except ArchiveError:
        yield Source(printable(path), uri, stamp)
        return
    for name in names:
        *within, own = name.replace("\\", "/").split("/")
        if is_video(own) and not any(part.startswith(".") and part != ".." for part in within):
            yield Source(printable(f"{path}/{name}"), member_uri(uri, name), stamp)


def is_video(name: str) -> bool:
    name = os.path.basename(name)
    return not name.startswith(".") and name.lower().endswith(VIDEO_SUFFIXES)


def may_be_source(name: str) -> bool:
    return is_video(name) or is_archive(name)


def printable(path: str) -> str:
    """A path that any table can hold: bytes that are no UTF-8 are written out."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


# ---------------------------------------------------------------------------------------------------- one source


def stamp_of(uri: str) -> str:
    """What changes when the video or what lies beside it does: sizes and dates."""
    member = split_member(uri)
    whole = member[0] if member else uri
    folder, _, name = whole.rpartition("/")
    # A local file at the root has no folder before its slash.
    base = folder or ("/" if whole.startswith("/") else ".")

    def stamp(beside: str) -> str:
        return storage.change_stamp(whole if beside == name else storage.join(base, beside))

    if is_archive(name):
        return archive_stamp(name, storage.list_dir(base), stamp)
    return video_stamp(name, stamp)


def is_gone(stamp: str) -> bool:
    """Whether a stamp is one of a file that is not there, whatever lies beside it."""
    return stamp.startswith("|") or not stamp


def video_stamp(name: str, stamp: Callable[[str], str]) -> str:
    return "|".join(stamp(each) for each in (name, *sidecar_names(name)))


def archive_stamp(name: str, names: Iterable[str], stamp: Callable[[str], str]) -> str:
    return "|".join([stamp(name), *(f"{each}={stamp(each)}" for each in beside_archive(name, names))])


def read_sidecars(uri: str) -> tuple[str | None, Provenance]:
    """The caption that lies beside a video, and its provenance.

    Raises:
        SidecarError: a sidecar that is no text or no JSON object; the message names it.
        ArchiveError: the zip it lies in cannot be read.
    """
    member = split_member(uri)
    if member:
        return read_beside_member(*member)
    return (None, {"tags": [], "licence": None}) if is_archive(uri) else read_beside(uri)


@contextlib.contextmanager
def fetch_source(uri: str) -> Iterator[str]:
    """A local path with the content of a source; a copy goes afterwards.

    Raises:
        ArchiveError: it is a zip that cannot be read, or lies in one.
        OSError: it cannot be reached.
    """
    member = split_member(uri)
    if member:
        with tempfile.TemporaryDirectory(prefix="framemill-") as folder:
            yield copy_member(*member, folder)
        return
    if is_archive(uri):
        member_names(uri)
        raise ArchiveError("it is a zip, not a video")
    with storage.local_copy(uri) as path:
        yield path
