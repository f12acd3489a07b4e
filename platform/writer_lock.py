"""The writer lock, which permits one writer at a time for an output on a local disk or in an object store."""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from dataclasses import dataclass
from typing import IO

from framemill.platform.errors import FramemillError, RequestError
from framemill.platform.storage import is_local, join, local_path, read_bytes, remove_temporaries, write_atomic


@dataclass(frozen=True)
class LockToken:
    """Token that the driver sends to its workers, with which they check that the driver still owns the output."""

    output: str
    """Folder or URI of the output."""
    attempt: int
    """Attempt number of the driver, counted from 1."""
    owner: str
    """Random name of the attempt, since two drivers that start at once on an object store may get equal numbers."""

    def check(self) -> None:
        """Checks that the driver still owns the output; a worker that outlives its driver must not write.

        Raises:
            FramemillError: a later attempt owns the output.
        """
        if read_owner(self.output) != (self.attempt, self.owner):
            raise FramemillError(f"{self.output}: attempt {self.attempt} was replaced by a later one")


class WriterLock:
    """Context manager that makes this process the only writer of an output.

    Attempts are numbered consecutively. On a local disk, a kernel lock (flock) excludes a second writer and is released
    when its process ends. Object stores have no locks: the driver that started last owns the output, and all others
    stop at their next commit (`LockToken.check`)."""

    def __init__(self, output: str) -> None:
        self.output = output
        self.attempt = 0
        self.owner = uuid.uuid4().hex
        self._file: IO[str] | None = None

    def __enter__(self) -> WriterLock:
        """Acquires the lock and removes temporary files of killed writers.

        Raises:
            RequestError: another process on this machine is writing the output.
        """
        if is_local(self.output):
            folder = join(local_path(self.output), "work")
            os.makedirs(folder, exist_ok=True)
            # Not in a `with` block, since the kernel lock is released when the file is closed.
            self._file = open(join(folder, "lock"), "a")
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                self._file.close()
                raise RequestError(f"output={self.output}: another process is writing it") from error
        self.attempt = read_owner(self.output)[0] + 1
        record = {"attempt": self.attempt, "owner": self.owner}
        write_atomic(_attempt_file(self.output), json.dumps(record).encode())
        remove_temporaries(self.output)
        return self

    def __exit__(self, *_: object) -> None:
        """Removes temporary files and releases the lock."""
        remove_temporaries(self.output)
        if self._file is not None:
            self._file.close()

    def token(self) -> LockToken:
        """Returns the token that this attempt's workers check before each commit."""
        return LockToken(self.output, self.attempt, self.owner)


def read_owner(output: str) -> tuple[int, str]:
    """Returns the attempt number and the owner's name of an output; (0, "") before the first attempt."""
    try:
        record = json.loads(read_bytes(_attempt_file(output)))
    except FileNotFoundError:
        return 0, ""
    return int(record["attempt"]), str(record.get("owner", ""))


def _attempt_file(output: str) -> str:
    return join(output, "work", "attempt.json")
