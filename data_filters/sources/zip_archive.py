"""Videos in zips, in the layout of SANA-Video's datasets.

A zip holds `<key>.mp4` and `<key>.json`. Next to `part.zip` are further sidecars, tables of values by key, such as
`part_Qwen2.5-VL.json` ({key: {"prompt": ...}}) and `part_unimatch.json` ({key: {...: score or scores}}).

A member is read at its offset in the zip, with range requests if the zip is in an object store; the zip is never
unpacked.
"""

from __future__ import annotations

import contextlib
import functools
import json
import lzma
import os
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from framemill.data_filters.sources.archive_errors import ArchiveError
from framemill.data_filters.sources.file_names import ZIP_SUFFIX, is_zip
from framemill.data_filters.sources.sidecars import Provenance, parse_object, parse_sidecars, sidecar_names
from framemill.platform import storage

_BROKEN = (
    zipfile.BadZipFile,
    NotImplementedError,
    EOFError,
    ValueError,
    OverflowError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
)
"""Exceptions that `zipfile` raises for a file that is not a zip, is damaged, or uses an unsupported method."""
_BLOCK = 1 << 20
"""Bytes per read or range request."""
_CACHED_TABLES = 16
"""Sidecar tables of zips kept in memory: the members of a zip are measured one after another."""
_ENCRYPTED = 1
"""Flag bit of an encrypted member."""


def zip_member_names(archive: str) -> list[str]:
    """Returns the names of the files in a zip, sorted and without duplicates.

    Raises:
        ArchiveError: the file is not a zip, or is damaged.
        OSError: the zip cannot be reached.
    """
    with _open_zip(archive) as file:
        return sorted({info.filename for info in file.infolist() if not info.is_dir()})


def copy_zip_member(archive: str, name: str, target: str) -> None:
    """Copies a member of a zip into the local file `target`.

    Raises:
        ArchiveError: the member is damaged or encrypted.
        OSError: the zip cannot be reached.
    """
    with _open_zip(archive) as file, file.open(_member_info(file, name)) as member, open(target, "wb") as copy:
        shutil.copyfileobj(member, copy, _BLOCK)


def read_zip_sidecars(archive: str, name: str) -> tuple[str | None, Provenance]:
    """Returns the caption of a member of a zip and its provenance.

    The caption is the `prompt` of a table next to the zip, or else of a sidecar inside. The provenance's `external`
    has the member's entry of each table: {"unimatch": ..., "Qwen2.5-VL": ...}.

    Raises:
        SidecarError: a sidecar is not a JSON object.
        ArchiveError: the zip cannot be read.
        OSError: the zip or a table cannot be reached.
    """
    with _open_zip(archive) as file:
        names = set(file.namelist())
        text, facts = (
            file.read(_member_info(file, sidecar)) if sidecar in names else None for sidecar in sidecar_names(name)
        )
    caption, values = parse_sidecars(name, text, facts)
    key = os.path.splitext(name)[0]
    external: dict[str, Any] = {}
    folder, _, zip_name = archive.rpartition("/")
    for table_name in table_names(zip_name, storage.list_dir(folder or ".")):
        uri = storage.join(folder or ".", table_name)
        table = _read_table(uri, storage.change_stamp(uri))
        value = table.get(key, table.get(key.rpartition("/")[2]))
        if value is not None:
            stem = os.path.splitext(table_name)[0]
            external[stem.removeprefix(os.path.splitext(zip_name)[0]).lstrip("_")] = value
    prompts = [value["prompt"] for value in external.values() if isinstance(value, dict) and value.get("prompt")]
    if external:
        values["external"] = json.dumps(external, sort_keys=True, ensure_ascii=False)
    return (str(prompts[0]) if prompts else caption), values


def table_names(zip_name: str, names: Iterable[str]) -> list[str]:
    """Returns the names of the sidecar tables of a zip, sorted: `<stem>_*.json`.

    Tables of another zip with a longer stem that matches too (`part_two_x.json` of `part_two.zip`) are left out.

    Args:
        zip_name: name of the zip.
        names: names of the files in the folder of the zip.
    """
    names = list(names)
    stem = os.path.splitext(zip_name)[0]
    longer = [other for name in names if is_zip(name) and (other := name[: -len(ZIP_SUFFIX)]).startswith(stem + "_")]
    return sorted(
        name
        for name in names
        if name.startswith(stem + "_")
        and name.lower().endswith(".json")
        and not any(name.startswith(other + "_") for other in longer)
    )


@contextlib.contextmanager
def _open_zip(archive: str) -> Iterator[zipfile.ZipFile]:
    """Yields an open zip; an error of `zipfile` in the block becomes an ArchiveError."""
    with storage.open_filesystem(archive) as (filesystem, path), filesystem.open(path, "rb", block_size=_BLOCK) as file:
        try:
            with zipfile.ZipFile(file) as opened:
                yield opened
        except _BROKEN as error:
            raise ArchiveError(f"not a readable zip ({' '.join(str(error).split())})") from error


def _member_info(file: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    try:
        info = file.getinfo(name)
    except KeyError as error:
        raise FileNotFoundError(name) from error
    if info.flag_bits & _ENCRYPTED:
        raise ArchiveError("it is encrypted")
    return info


@functools.lru_cache(_CACHED_TABLES)
def _read_table(uri: str, stamp: str) -> dict[str, Any]:
    """Returns a sidecar table, from a cache as long as its stamp is unchanged."""
    return parse_object(uri.rpartition("/")[2], storage.read_bytes(uri))
