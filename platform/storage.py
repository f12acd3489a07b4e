"""Files on local disks and in object stores, addressed by path or fsspec URI, with atomic writes.

Endpoints and credentials of object stores come from their usual environment variables (for s3://: AWS_ENDPOINT_URL,
AWS_ACCESS_KEY_ID, AWS_PROFILE and others), which workers inherit from the process that starts them.
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

TEMPORARY = ".tmp-"
"""Prefix of the names of temporary files, which are being written and which readers skip."""
_CHUNK = 1 << 20
"""Number of bytes that are read at a time for hashing."""


class StorageError(FramemillError, OSError):
    """An object store refused or did not answer. The state of the file is unknown, and a retry may succeed."""


def is_local(uri: str) -> bool:
    """Returns whether a path or URI is on this machine's file system."""
    return "://" not in uri or uri.startswith("file://")


def local_path(uri: str) -> str:
    """Returns a local path or `file://` URI as a path."""
    return uri.removeprefix("file://")


def join(base: str, *parts: str) -> str:
    """Returns `base` and `parts` joined by single slashes."""
    return "/".join([str(base).rstrip("/"), *(part.strip("/") for part in parts)])


def locate(uri: str) -> tuple[AbstractFileSystem, str]:
    """Returns the file system of a URI and the path in it; in local paths, "::" has no special meaning.

    Raises:
        RequestError: the scheme of the URI is unknown or its driver is not installed.
    """
    if is_local(uri):
        return LocalFileSystem(), os.path.abspath(local_path(uri))
    try:
        # Without fsspec's listings cache, which would hide files written by other processes.
        filesystem, path = url_to_fs(uri, use_listings_cache=False)
    except (ValueError, ImportError) as error:
        raise RequestError(f"{uri}: {error}") from error
    return filesystem, path


@contextlib.contextmanager
def open_filesystem(uri: str) -> Iterator[tuple[AbstractFileSystem, str]]:
    """Yields the file system and path of `locate`, and unifies the errors of an object store raised in the block.

    Raises:
        FileNotFoundError: there is no such file.
        StorageError: any other error of the object store, such as missing credentials, permission or connection, for
            which object-store clients raise dozens of exception classes.
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
        message = " ".join(str(error).split()) or type(error).__name__
        raise StorageError(f"{uri}: {message}") from error


def exists(uri: str) -> bool:
    """Returns whether a file or folder exists at `uri`."""
    with open_filesystem(uri) as (filesystem, path):
        return bool(filesystem.exists(path))


def is_dir(uri: str) -> bool:
    """Returns whether a folder exists at `uri`."""
    with open_filesystem(uri) as (filesystem, path):
        return bool(filesystem.isdir(path))


def size(uri: str) -> int:
    """Returns a file's size in bytes."""
    with open_filesystem(uri) as (filesystem, path):
        return int(filesystem.size(path))


def make_dirs(uri: str) -> None:
    """Creates a local folder and its parents; does nothing on object stores, which have no folders."""
    if is_local(uri):
        os.makedirs(local_path(uri), exist_ok=True)


def list_dir(uri: str) -> list[str]:
    """Returns the sorted names of the entries of a folder; an empty list if the folder does not exist."""
    with open_filesystem(uri) as (filesystem, path):
        if not filesystem.isdir(path):
            return []
        return sorted(entry.rstrip("/").rpartition("/")[2] for entry in filesystem.ls(path, detail=False))


def walk(uri: str) -> list[str]:
    """Returns the sorted paths of all files below a folder, relative to the folder."""
    with open_filesystem(uri) as (filesystem, path):
        return sorted(name[len(path.rstrip("/")) + 1 :] for name in filesystem.find(path))


def list_tree(uri: str, depth: int | None = None) -> dict[str, str]:
    """Returns the change stamps of all files below a folder of an object store, by path relative to the folder.

    Listing takes one request per thousand files, instead of one request per file.

    Args:
        uri: the folder.
        depth: maximum depth of the listed files below the folder; None: unlimited.
    """
    with open_filesystem(uri) as (filesystem, path):
        start = len(path.rstrip("/")) + 1
        try:
            entries = filesystem.find(path, maxdepth=depth, detail=True)
        except FileNotFoundError:
            return {}
        return {name[start:]: _entry_stamp(entry) for name, entry in entries.items()}


def change_stamp(uri: str) -> str:
    """Returns the change stamp of a file, a text that changes with the file; empty if there is no file.

    The stamp consists of size and modification time for a local file, and of size and ETag (or modification time) for
    an object."""
    try:
        if is_local(uri):
            status = os.stat(local_path(uri))
            return f"{status.st_size}:{status.st_mtime_ns}"
        with open_filesystem(uri) as (filesystem, path):
            return _entry_stamp(filesystem.info(path))
    except FileNotFoundError:
        return ""


def _entry_stamp(entry: dict[str, Any]) -> str:
    """Returns the change stamp of an object from its fsspec entry, which `info` and listings give with equal values."""
    keys = ("ETag", "etag", "LastModified", "mtime", "created")
    return f"{entry['size']}:{next((entry[name] for name in keys if entry.get(name)), '')}"


def open_input(uri: str, mode: str = "rb") -> IO[Any]:
    """Returns a file opened for reading."""
    with open_filesystem(uri) as (filesystem, path):
        file: IO[Any] = filesystem.open(path, mode)
        return file


def read_bytes(uri: str) -> bytes:
    """Returns a file's content.

    Raises:
        FileNotFoundError: there is no such file.
        StorageError: the object store refused or did not answer.
    """
    if is_local(uri):
        with open(local_path(uri), "rb") as file:
            return file.read()
    with open_filesystem(uri) as (filesystem, path):
        return bytes(filesystem.cat_file(path))


def read_range(uri: str, offset: int, length: int) -> bytes:
    """Returns `length` bytes from byte `offset` of a file, without reading the rest."""
    if is_local(uri):
        with open(local_path(uri), "rb") as file:
            file.seek(offset)
            return file.read(length)
    with open_filesystem(uri) as (filesystem, path):
        return bytes(filesystem.cat_file(path, start=offset, end=offset + length))


def sha256_file(uri: str) -> str:
    """Returns the sha256 of a file's content as 64 hex digits."""
    total = hashlib.sha256()
    with open_filesystem(uri) as (filesystem, path), filesystem.open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            total.update(chunk)
    return total.hexdigest()


@contextlib.contextmanager
def local_copy(uri: str) -> Iterator[str]:
    """Yields a local path with the content of `uri`: the file itself if it is local, else a temporary copy."""
    if is_local(uri):
        yield local_path(uri)
        return
    with tempfile.TemporaryDirectory(prefix="framemill-") as folder:
        target = os.path.join(folder, uri.rpartition("/")[2])
        with open_filesystem(uri) as (filesystem, path):
            filesystem.get_file(path, target)
        yield target


def write_atomic(uri: str, data: bytes) -> None:
    """Writes a file atomically: readers see the complete file or none, even after a crash.

    Raises:
        RequestError: there is no such bucket.
        StorageError: the object store refused or did not answer.
    """
    if not is_local(uri):
        with _open_for_writing(uri) as (filesystem, path):
            filesystem.pipe_file(path, data)
        return
    target = local_path(uri)
    temporary = temporary_path(target)
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, target)
    sync_dir(os.path.dirname(target))


def commit_file(path: str, uri: str) -> None:
    """Moves a complete local file to a path or URI, by an atomic rename or by an upload to an object store.

    Raises:
        RequestError: there is no such bucket.
        StorageError: the object store refused or did not answer.
    """
    if not is_local(uri):
        with _open_for_writing(uri) as (filesystem, remote):
            filesystem.put_file(path, remote)
        os.unlink(path)
        return
    target = local_path(uri)
    with open(path, "rb") as file:
        os.fsync(file.fileno())
    os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
    if os.stat(path).st_dev != os.stat(os.path.dirname(target) or ".").st_dev:
        # A rename works within one file system only.
        copy = temporary_path(target)
        shutil.copyfile(path, copy)
        os.unlink(path)
        path = copy
    os.replace(path, target)
    sync_dir(os.path.dirname(target))


def move(source: str, target: str) -> None:
    """Moves a file and replaces the target: an atomic rename locally, a copy and a deletion in an object store."""
    if is_local(source):
        os.makedirs(os.path.dirname(local_path(target)) or ".", exist_ok=True)
        os.replace(local_path(source), local_path(target))
        sync_dir(os.path.dirname(local_path(target)))
        return
    with open_filesystem(source) as (filesystem, path):
        filesystem.mv(path, locate(target)[1])


def remove(uri: str) -> None:
    """Removes a file, or a folder with its content, if it exists."""
    with contextlib.suppress(FileNotFoundError), open_filesystem(uri) as (filesystem, path):
        filesystem.rm(path, recursive=True)


def temporary_path(target: str) -> str:
    """Returns a new temporary path in the folder of `target`, and creates this folder."""
    folder = os.path.dirname(target) or "."
    os.makedirs(folder, exist_ok=True)
    return os.path.join(folder, f"{TEMPORARY}{os.getpid()}-{uuid.uuid4().hex[:8]}")


def remove_temporaries(uri: str) -> None:
    """Removes all temporary files below a local folder; a running writer of one of them fails at its rename.

    Object stores have no temporary files, since an upload is not visible before it is complete.
    """
    for folder, _, names in os.walk(local_path(uri)) if is_local(uri) else ():
        for name in names:
            if name.startswith(TEMPORARY):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(folder, name))


def sync_dir(path: str) -> None:
    """Calls fsync on a local folder, so that renames in it survive a power failure."""
    handle = os.open(path or ".", os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _open_for_writing(uri: str) -> Iterator[tuple[AbstractFileSystem, str]]:
    """Yields the file system and path of `open_filesystem`; FileNotFoundError means a missing bucket here.

    Raises:
        RequestError: there is no such bucket.
        StorageError: the object store refused or did not answer.
    """
    try:
        with open_filesystem(uri) as location:
            yield location
    except FileNotFoundError as error:
        raise RequestError(f"{uri}: there is no such bucket") from error
