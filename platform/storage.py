"""Files in local folders and object stores, addressed by path or fsspec URI, and committed whole or not at all.

Where an object store lies and who asks is for its own environment to say (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID,
AWS_PROFILE and so on for s3://): workers inherit it from the process that starts them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from typing import IO, Any

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from framemill.platform.errors import FramemillError, RequestError

CHUNK = 1 << 20
TEMPORARY = ".tmp-"
"""How the names of files begin that are still being written."""


def is_local(uri: str) -> bool:
    return "://" not in uri or uri.startswith("file://")


def local_path(uri: str) -> str:
    return uri.removeprefix("file://")


class StorageError(FramemillError, OSError):
    """An object store refused or did not answer: nothing is known of the file, and the same request may succeed."""


def locate(uri: str) -> tuple[AbstractFileSystem, str]:
    """The file system a URI lies in and its path there. A local name is taken as it stands, "::" and all."""
    if is_local(uri):
        return LocalFileSystem(), os.path.abspath(local_path(uri))
    try:
        # Other processes write here too: a listing that is remembered would hide what they wrote.
        filesystem, path = url_to_fs(uri, use_listings_cache=False)
    except (ValueError, ImportError) as error:
        raise RequestError(f"{uri}: {error}") from error
    return filesystem, path


@contextlib.contextmanager
def reaching(uri: str) -> Iterator[tuple[AbstractFileSystem, str]]:
    """`locate`, and every failure of an object store but an absent file told in one line with the URI.

    Raises:
        FileNotFoundError: as it is.
        StorageError: no credentials, no permission, no connection: a client has as many errors as it has parts.
    """
    filesystem, path = locate(uri)
    if is_local(uri):
        yield filesystem, path
        return
    try:
        yield filesystem, path
    except (FileNotFoundError, FramemillError):
        raise
    except Exception as error:
        words = " ".join(str(error).split()) or type(error).__name__
        raise StorageError(f"{uri}: {words}") from error


@contextlib.contextmanager
def writing(uri: str) -> Iterator[tuple[AbstractFileSystem, str]]:
    """`reaching`, to put a file there: what is absent then is the bucket.

    Raises:
        RequestError: there is no such bucket.
        StorageError: as in `reaching`.
    """
    try:
        with reaching(uri) as place:
            yield place
    except FileNotFoundError as error:
        raise RequestError(f"{uri}: there is no such bucket") from error


def join(base: str, *parts: str) -> str:
    """`base` and `parts` with single slashes between them."""
    return "/".join([str(base).rstrip("/"), *(part.strip("/") for part in parts)])


def exists(uri: str) -> bool:
    with reaching(uri) as (filesystem, path):
        return bool(filesystem.exists(path))


def is_dir(uri: str) -> bool:
    with reaching(uri) as (filesystem, path):
        return bool(filesystem.isdir(path))


def size(uri: str) -> int:
    with reaching(uri) as (filesystem, path):
        return int(filesystem.size(path))


def make_dirs(uri: str) -> None:
    """Makes a folder; an object store has none, and is never given a bucket that nobody asked for."""
    if is_local(uri):
        os.makedirs(local_path(uri), exist_ok=True)


def list_dir(uri: str) -> list[str]:
    """The names in a folder, sorted; none where there is no such folder."""
    with reaching(uri) as (filesystem, path):
        if not filesystem.isdir(path):
            return []
        return sorted(entry.rstrip("/").rpartition("/")[2] for entry in filesystem.ls(path, detail=False))


def walk(uri: str) -> list[str]:
    """The files below a folder, relative to it and sorted."""
    with reaching(uri) as (filesystem, path):
        return sorted(found[len(path.rstrip("/")) + 1 :] for found in filesystem.find(path))


def remove(uri: str) -> None:
    """Removes a file or folder; nothing happens where there is none."""
    with contextlib.suppress(FileNotFoundError), reaching(uri) as (filesystem, path):
        filesystem.rm(path, recursive=True)


def move(source: str, target: str) -> None:
    """Puts a file in another's place: an atomic rename locally; elsewhere a copy, then the source goes."""
    if is_local(source):
        os.makedirs(os.path.dirname(local_path(target)) or ".", exist_ok=True)
        os.replace(local_path(source), local_path(target))
        sync_dir(os.path.dirname(local_path(target)))
        return
    filesystem, path = locate(source)
    filesystem.mv(path, locate(target)[1])


def open_input(uri: str, mode: str = "rb") -> IO[Any]:
    with reaching(uri) as (filesystem, path):
        file: IO[Any] = filesystem.open(path, mode)
        return file


def read_bytes(uri: str) -> bytes:
    if is_local(uri):
        with open(local_path(uri), "rb") as file:
            return file.read()
    with reaching(uri) as (filesystem, path):
        return bytes(filesystem.cat_file(path))


def info_stamp(info: dict[str, Any]) -> str:
    """What changes when a file of an object store does, from what the store says of it, alone or in a listing."""
    tag = info.get("ETag") or info.get("etag") or info.get("LastModified") or info.get("mtime") or info.get("created")
    return f"{info['size']}:{tag or ''}"


def stamp(uri: str) -> str:
    """What changes when a file does: its size and date, or its size and tag; empty where there is none."""
    try:
        if is_local(uri):
            status = os.stat(local_path(uri))
            return f"{status.st_size}:{status.st_mtime_ns}"
        with reaching(uri) as (filesystem, path):
            return info_stamp(filesystem.info(path))
    except FileNotFoundError:
        return ""


def list_tree(uri: str, depth: int | None = None) -> dict[str, str]:
    """The stamp of each file below a folder of an object store, by its path relative to the folder: a request for
    each thousand files, none for a file. `depth` names how many levels are looked at; None: all."""
    with reaching(uri) as (filesystem, path):
        start = len(path.rstrip("/")) + 1
        try:
            found = filesystem.find(path, maxdepth=depth, detail=True)
        except FileNotFoundError:
            return {}
        return {name[start:]: info_stamp(info) for name, info in found.items()}


def read_range(uri: str, offset: int, length: int) -> bytes:
    """`length` bytes from `offset`, without reading the rest."""
    if is_local(uri):
        with open(local_path(uri), "rb") as file:
            file.seek(offset)
            return file.read(length)
    with reaching(uri) as (filesystem, path):
        return bytes(filesystem.cat_file(path, start=offset, end=offset + length))


def sha256_file(uri: str) -> str:
    total = hashlib.sha256()
    with reaching(uri) as (filesystem, path), filesystem.open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            total.update(chunk)
    return total.hexdigest()


def write_atomic(uri: str, data: bytes) -> None:
    """Writes a file that is seen whole or not at all, even after a crash."""
    if not is_local(uri):
        with writing(uri) as (filesystem, path):
            filesystem.pipe_file(path, data)
        return
    target = local_path(uri)
    temporary = temporary_beside(target)
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, target)
    sync_dir(os.path.dirname(target))


def commit_file(path: str, uri: str) -> None:
    """Moves a finished local file to its place: an atomic rename locally, one upload elsewhere."""
    if not is_local(uri):
        with writing(uri) as (filesystem, remote):
            filesystem.put_file(path, remote)
        os.unlink(path)
        return
    target = local_path(uri)
    with open(path, "rb") as file:
        os.fsync(file.fileno())
    os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
    if os.stat(path).st_dev != os.stat(os.path.dirname(target) or ".").st_dev:
        beside = temporary_beside(target)
        shutil.copyfile(path, beside)
        os.unlink(path)
        path = beside
    os.replace(path, target)
    sync_dir(os.path.dirname(target))


def temporary_beside(target: str) -> str:
    """A fresh name in the target's folder (made where absent) that no reader takes for a result."""
    folder = os.path.dirname(target) or "."
    os.makedirs(folder, exist_ok=True)
    return os.path.join(folder, f"{TEMPORARY}{os.getpid()}-{uuid.uuid4().hex[:8]}")


def remove_temporaries(uri: str) -> None:
    """Removes what killed writers left half-written below a local folder; one that still lives fails at its rename.

    Elsewhere there is nothing to remove: an upload is not seen before it is whole.
    """
    for folder, _, names in os.walk(local_path(uri)) if is_local(uri) else ():
        for name in names:
            if name.startswith(TEMPORARY):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(folder, name))


def sync_dir(path: str) -> None:
    """Makes renames inside a folder survive a power cut."""
    handle = os.open(path or ".", os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def local_copy(uri: str) -> Iterator[str]:
    """A local path with the content of `uri`: the file itself where it is local, else a copy that goes afterwards."""
    if is_local(uri):
        yield local_path(uri)
        return
    with tempfile.TemporaryDirectory(prefix="framemill-") as folder:
        target = os.path.join(folder, uri.rpartition("/")[2])
        with reaching(uri) as (filesystem, path):
            filesystem.get_file(path, target)
        yield target
