"""Which videos there are to curate, in an order that depends on their names alone."""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from fsspec.utils import glob_translate

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
    """Relative to the input: its key in the ledger."""
    uri: str
    """Where it is read."""
    stamp: str
    """Size and date of the file and of what lies beside it: measured again where this changed."""

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Source:
        return Source(**json.loads(text))


def list_sources(input: str, limit: int = 0) -> list[Source]:
    """The videos of a folder (searched whole), a glob, a text file of paths (one a line), or a single video.

    Hidden files and folders are passed over. Sorted by path; the first `limit` where that is not 0.

    Raises:
        RequestError: there is no such input, or no video in it.
    """
    found = sorted(set(find(input)))
    if not found:
        raise RequestError(f"input={input}: no video there; files end in {', '.join(VIDEO_SUFFIXES)}")
    paths = [path for path, _ in found]
    twice = {path for path, after in itertools.pairwise(paths) if path == after}
    if twice:
        raise RequestError(f"input={input}: two files would both be called {min(twice)}")
    return [Source(printable(path), uri, stamp_of(uri)) for path, uri in found[: limit or None]]


def find(input: str) -> Iterator[tuple[str, str]]:
    """(path relative to the input, URI) of each video."""
    local = storage.is_local(input)
    base = storage.local_path(input) if local else input
    if local and os.path.isdir(base):
        yield from walk(base)
    elif storage.exists(base):
        if base.lower().endswith(LIST_SUFFIXES):
            yield from listed(base)
        elif local or not storage_is_dir(base):
            yield os.path.basename(base), base
        else:
            yield from remote(base, storage.join(base, "**"))
    elif WILDCARDS & set(base):
        root = base[: min(base.index(sign) for sign in WILDCARDS if sign in base)].rpartition("/")[0]
        if local:
            fits = re.compile(glob_translate(base.removeprefix(root).lstrip("/")))
            yield from ((path, full) for path, full in walk(root or ".") if fits.match(path))
        else:
            yield from remote(root, base)
    else:
        raise RequestError(f"input={input}: there is no such folder or file")


def walk(root: str) -> Iterator[tuple[str, str]]:
    """The video files below a folder. Links are followed, each folder once, so that a loop of links ends."""
    seen: set[tuple[int, int]] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            full = os.path.join(folder, name)
            if is_video(name) and os.path.isfile(full):
                yield os.path.relpath(full, root), full


def listed(uri: str) -> Iterator[tuple[str, str]]:
    """The paths in a text file, relative ones from its folder; an empty line or one that begins with # is no path."""
    folder = uri.rpartition("/")[0] or "."
    for line in storage.read_bytes(uri).decode().splitlines():
        name = line.strip()
        if not name or name.startswith("#"):
            continue
        full = name if name.startswith("/") or "://" in name else storage.join(folder, name)
        if not storage.exists(full):
            raise RequestError(f"input={uri}: it lists {name}, which does not exist")
        yield name.removeprefix(folder + "/").lstrip("/"), full


def remote(root: str, pattern: str) -> Iterator[tuple[str, str]]:
    """The videos of an object store that fit a pattern."""
    filesystem, inside = storage.locate(root)
    for name in filesystem.glob(storage.locate(pattern)[1]):
        relative = name.removeprefix(inside).lstrip("/")
        if is_video(name) and not any(part.startswith(".") for part in relative.split("/")):
            yield relative, filesystem.unstrip_protocol(name)


def is_video(name: str) -> bool:
    name = os.path.basename(name)
    return not name.startswith(".") and name.lower().endswith(VIDEO_SUFFIXES)


def storage_is_dir(uri: str) -> bool:
    filesystem, path = storage.locate(uri)
    return bool(filesystem.isdir(path))


def printable(path: str) -> str:
    """A path that any table can hold: bytes that are no UTF-8 are written out."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


# ---------------------------------------------------------------------------------------------------- beside a video


def sidecar_uris(uri: str) -> tuple[str, str]:
    """Where the caption (.txt) and the facts (.json) of a video would lie."""
    stem = os.path.splitext(uri)[0]
    return stem + ".txt", stem + ".json"


def stamp_of(uri: str) -> str:
    """What changes when the file or a sidecar does: sizes and dates."""
    return "|".join(file_stamp(name) for name in (uri, *sidecar_uris(uri)))


def file_stamp(uri: str) -> str:
    try:
        if storage.is_local(uri):
            status = os.stat(storage.local_path(uri))
            return f"{status.st_size}:{status.st_mtime_ns}"
        filesystem, path = storage.locate(uri)
        info = filesystem.info(path)
        return f"{info['size']}:{info.get('ETag') or info.get('LastModified') or info.get('mtime') or ''}"
    except FileNotFoundError:
        return ""


def read_sidecars(uri: str) -> tuple[str | None, dict[str, Any]]:
    """The caption beside a video, and its provenance: {"tags": [...], "licence": ...}.

    A .txt is the caption. A .json may hold `caption` (or `prompt`), `tags` and `licence` (or `license`).

    Raises:
        ValueError: a sidecar that is no text or no JSON object; the message names it.
    """
    text_uri, json_uri = sidecar_uris(uri)
    caption: str | None = None
    facts: dict[str, Any] = {}
    if storage.exists(json_uri):
        try:
            facts = json.loads(storage.read_bytes(json_uri))
        except ValueError as error:
            raise ValueError(f"{os.path.basename(json_uri)} beside it is not JSON") from error
        if not isinstance(facts, dict):
            raise ValueError(f"{os.path.basename(json_uri)} beside it is not a JSON object")
        caption = facts.get("caption") or facts.get("prompt")
    if storage.exists(text_uri):
        try:
            caption = storage.read_bytes(text_uri).decode().strip() or caption
        except UnicodeDecodeError as error:
            raise ValueError(f"{os.path.basename(text_uri)} beside it is not UTF-8 text") from error
    tags = facts.get("tags") or []
    tags = [str(tag) for tag in (tags if isinstance(tags, list) else [tags])]
    licence = facts.get("licence") or facts.get("license")
    return (str(caption) if caption else None), {"tags": tags, "licence": str(licence) if licence else None}
