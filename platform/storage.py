"""Files in local folders and object stores, addressed by path or fsspec URI, and committed whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
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


def locate(uri: str) -> tuple[AbstractFileSystem, str]:
    """The file system a URI lies in and its path there. A local name is taken as it stands, "::" and all."""
    if is_local(uri):
        return LocalFileSystem(), os.path.abspath(local_path(uri))
    filesystem, path = url_to_fs(uri)
    return filesystem, path


def join(base: str, *parts: str) -> str:
    """`base` and `parts` with single slashes between them."""
    return "/".join([str(base).rstrip("/"), *(part.strip("/") for part in parts)])


def exists(uri: str) -> bool:
    filesystem, path = locate(uri)
    return bool(filesystem.exists(path))


def size(uri: str) -> int:
    filesystem, path = locate(uri)
    return int(filesystem.size(path))


def make_dirs(uri: str) -> None:
    filesystem, path = locate(uri)
    filesystem.makedirs(path, exist_ok=True)


def list_dir(uri: str) -> list[str]:
    """The names in a folder, sorted; none where there is no such folder."""
    filesystem, path = locate(uri)
    if not filesystem.isdir(path):
        return []
    filesystem.invalidate_cache(path)
    return sorted(entry.rstrip("/").rpartition("/")[2] for entry in filesystem.ls(path, detail=False))


def walk(uri: str) -> list[str]:
    """The files below a folder, relative to it and sorted."""
    filesystem, path = locate(uri)
    return sorted(found[len(path.rstrip("/")) + 1 :] for found in filesystem.find(path))


def remove(uri: str) -> None:
    """Removes a file or folder; nothing happens where there is none."""
    filesystem, path = locate(uri)
    with contextlib.suppress(FileNotFoundError):
        filesystem.rm(path, recursive=True)


def open_input(uri: str, mode: str = "rb") -> IO[Any]:
    filesystem, path = locate(uri)
    file: IO[Any] = filesystem.open(path, mode)
    return file


def read_bytes(uri: str) -> bytes:
    with open_input(uri) as file:
        return file.read()


def read_range(uri: str, offset: int, length: int) -> bytes:
    """`length` bytes from `offset`, without reading the rest."""
    if is_local(uri):
        with open(local_path(uri), "rb") as file:
            file.seek(offset)
            return file.read(length)
    filesystem, path = locate(uri)
    return bytes(filesystem.cat_file(path, start=offset, end=offset + length))


def sha256_file(uri: str) -> str:
    total = hashlib.sha256()
    with open_input(uri) as file:
        while chunk := file.read(CHUNK):
            total.update(chunk)
    return total.hexdigest()


def write_atomic(uri: str, data: bytes) -> None:
    """Writes a file that is seen whole or not at all, even after a crash."""
    if not is_local(uri):
        filesystem, path = locate(uri)
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
        filesystem, remote = locate(uri)
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
        filesystem, path = locate(uri)
        filesystem.get_file(path, target)
        yield target


# ---------------------------------------------------------------------------------------------------- one writer


@dataclass(frozen=True)
class LockToken:
    """What a worker needs to know whether its driver still owns the output."""

    output: str
    attempt: int

    def check(self) -> None:
        """Raises FramemillError once a later attempt owns the output: a worker outliving its driver must not write."""
        if read_attempt(self.output) != self.attempt:
            raise FramemillError(f"{self.output}: attempt {self.attempt} was replaced by a later one")


class WriterLock:
    """One writer at a time for an output, with an attempt number that grows with each.

    Locally a kernel lock keeps a second writer out and vanishes with its process. Where storage has no locks the
    attempt number alone decides: the last to start owns the output, and the others stop at their next commit.
    """

    def __init__(self, output: str) -> None:
        self.output = output
        self.attempt = 0
        self._file: IO[str] | None = None

    def __enter__(self) -> WriterLock:
        if is_local(self.output):
            folder = join(local_path(self.output), "work")
            os.makedirs(folder, exist_ok=True)
            # Held open for as long as the lock is: a with block would let go of it.
            self._file = open(join(folder, "lock"), "a")
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                self._file.close()
                raise RequestError(f"output={self.output}: another process is writing it") from error
        self.attempt = read_attempt(self.output) + 1
        write_atomic(attempt_file(self.output), json.dumps({"attempt": self.attempt}).encode())
        remove_temporaries(self.output)
        return self

    def __exit__(self, *_: object) -> None:
        remove_temporaries(self.output)
        if self._file is not None:
            self._file.close()

    def token(self) -> LockToken:
        return LockToken(self.output, self.attempt)


def attempt_file(output: str) -> str:
    return join(output, "work", "attempt.json")


def read_attempt(output: str) -> int:
    try:
        return int(json.loads(read_bytes(attempt_file(output)))["attempt"])
    except FileNotFoundError:
        return 0
