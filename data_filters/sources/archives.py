"""Videos in zips, as SANA-Video's own datasets come: `<key>.mp4` and `<key>.json` inside, and beside `part.zip` files
such as `part_Qwen2.5-VL.json` ({key: {"prompt": ...}}) and `part_unimatch.json` ({key: {...: score or scores}}).

A member is named by a URI, `zip://<member, quoted>::<URI of the zip>`. It is read from its place in the zip, by range
where that lies in an object store; the zip is never unpacked.
"""

from __future__ import annotations

import contextlib
import functools
import json
import lzma
import os
import re
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote, unquote

from framemill.data_filters.sources.sidecars import Provenance, parse_object, parse_sidecars, sidecar_names
from framemill.platform import storage
from framemill.platform.errors import FramemillError

SUFFIX = ".zip"
SCHEME, JOINT = "zip://", "::"
BROKEN = (
    zipfile.BadZipFile,
    NotImplementedError,
    EOFError,
    ValueError,
    OverflowError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
)
"""What `zipfile` raises for a file that is no zip, or damaged, or packed in a way that it does not know."""
BLOCK = 1 << 20
TABLES = 16
"""Sidecars of zips kept in memory: a zip's members come one after another."""


class ArchiveError(FramemillError):
    """A zip, or a member of one, that cannot be read however often it is tried. The message says why."""


def member_uri(archive: str, name: str) -> str:
    return f"{SCHEME}{quote(name, safe='/')}{JOINT}{archive}"


def split_member(uri: str) -> tuple[str, str] | None:
    """The URI of the zip and the member's name; None where the URI names no member."""
    if not uri.startswith(SCHEME):
        return None
    name, _, archive = uri.removeprefix(SCHEME).partition(JOINT)
    return archive, unquote(name)


def is_archive(name: str) -> bool:
    return name.lower().endswith(SUFFIX)


@contextlib.contextmanager
def opened(archive: str) -> Iterator[zipfile.ZipFile]:
    """Raises ArchiveError where it is no zip; StorageError or OSError where it cannot be reached."""
    with storage.open_filesystem(archive) as (filesystem, path), filesystem.open(path, "rb", block_size=BLOCK) as file:
        try:
            with zipfile.ZipFile(file) as found:
                yield found
        except BROKEN as error:
            raise ArchiveError(f"not a readable zip ({' '.join(str(error).split())})") from error


def member_names(archive: str) -> list[str]:
    """The files in a zip, sorted, each once.

    Raises:
        ArchiveError: it is no zip, or damaged.
    """
    with opened(archive) as found:
        return sorted({info.filename for info in found.infolist() if not info.is_dir()})


def copy_member(archive: str, name: str, folder: str) -> str:
    """Copies one member into `folder`, under a name of our own; gives the path.

    Raises:
        ArchiveError: it is damaged or encrypted, or its name leads out of the archive.
    """
    refuse_unsafe(name)
    target = os.path.join(folder, "member" + os.path.splitext(name)[1].lower())
    with opened(archive) as found:
        info = member_info(found, name)
        with found.open(info) as packed, open(target, "wb") as file:
            shutil.copyfileobj(packed, file, BLOCK)
    return target


def refuse_unsafe(name: str) -> None:
    parts = re.split(r"[\\/]", name)
    if ".." in parts or not parts[0] or re.match(r"[A-Za-z]:", name):
        raise ArchiveError("its name leads out of the archive")


def member_info(found: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    try:
        info = found.getinfo(name)
    except KeyError as error:
        raise FileNotFoundError(name) from error
    if info.flag_bits & 1:
        raise ArchiveError("it is encrypted")
    return info


def read_beside_member(archive: str, name: str) -> tuple[str | None, Provenance]:
    """A member's caption, from beside the zip before one inside it, and its provenance with all that lies beside the
    zip about it as `external`: {"unimatch": ..., "Qwen2.5-VL": ...}, as it stands there.

    Raises:
        SidecarError: a sidecar that is no text or no JSON object; the message names it.
        ArchiveError: the zip cannot be read.
    """
    refuse_unsafe(name)
    with opened(archive) as found:
        held = set(found.namelist())
        text, facts = (
            found.read(member_info(found, beside)) if beside in held else None for beside in sidecar_names(name)
        )
    caption, told = parse_sidecars(name, text, facts)
    key = os.path.splitext(name)[0]
    external: dict[str, Any] = {}
    folder, _, zip_name = archive.rpartition("/")
    for beside in beside_archive(zip_name, storage.list_dir(folder or ".")):
        uri = storage.join(folder or ".", beside)
        table = read_archive_sidecar(uri, storage.change_stamp(uri))
        value = table.get(key, table.get(key.rpartition("/")[2]))
        if value is not None:
            external[os.path.splitext(beside)[0].removeprefix(os.path.splitext(zip_name)[0]).lstrip("_")] = value
    written = [value["prompt"] for value in external.values() if isinstance(value, dict) and value.get("prompt")]
    if external:
        told["external"] = json.dumps(external, sort_keys=True, ensure_ascii=False)
    return (str(written[0]) if written else caption), told


@functools.lru_cache(TABLES)
def read_archive_sidecar(uri: str, stamp: str) -> dict[str, Any]:
    """The sidecar of a zip, read once for as long as its stamp stays the same."""
    return parse_object(uri.rpartition("/")[2], storage.read_bytes(uri))


def beside_archive(zip_name: str, names: Iterable[str]) -> list[str]:
    """Of the names in a zip's folder those of its sidecars, sorted: `<stem>_*.json`, but for those of another zip
    whose longer stem they fit."""
    names = list(names)
    stem = os.path.splitext(zip_name)[0]
    longer = [other for name in names if is_archive(name) and (other := name[: -len(SUFFIX)]).startswith(stem + "_")]
    return sorted(
        name
        for name in names
        if name.startswith(stem + "_")
        and name.lower().endswith(".json")
        and not any(name.startswith(other + "_") for other in longer)
    )
