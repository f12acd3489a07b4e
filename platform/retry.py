"""The retry policy of every job: which errors are final for an item, and which leave it pending.

An item that may succeed later is never recorded as failed. It stays pending, the job goes on with the other items and
ends with exit status 1, and the same command tries the item again.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any

from framemill.platform.child_process import ChildCrashed, ChildProcess, ChildTimeout

ATTEMPTS = 2
"""Calls of a child process before its timeout or crash counts."""
GONE = "it is no longer there"
"""Why an item is pending whose file was deleted after it was listed."""
OUTSIDE_SIGNALS = (signal.SIGKILL, signal.SIGTERM)
"""Signals sent by the system (out of memory, shutdown). They say nothing about the file that was being read."""


class RetryLater(Exception):
    """Transient failure: the item stays pending and the job exits with status 1."""


def killed_from_outside(error: ChildCrashed) -> bool:
    """Returns whether a child process was killed by the system, and not by what it was working on."""
    return error.signal in OUTSIDE_SIGNALS


def call_with_retry(child: ChildProcess, function: str, *arguments: Any, timeout: float) -> Any:
    """Calls a function in a child process, and once more if the child timed out or died.

    Args:
        child: the process that runs the call; it is restarted before the second attempt.
        function: "module:name".
        arguments: positional arguments; they and the result must pickle.
        timeout: longest silence, in seconds.

    Raises:
        ChildCrashed: the child crashed in every attempt. This is final for the item.
        RetryLater: the last attempt timed out, or was killed from outside.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return child.call(function, *arguments, timeout=timeout)
        except ChildTimeout as error:
            if attempt == ATTEMPTS:
                raise RetryLater(f"time limit: {error}") from error
        except ChildCrashed as error:
            if attempt == ATTEMPTS and killed_from_outside(error):
                raise RetryLater(str(error)) from error
            if attempt == ATTEMPTS:
                raise
    raise AssertionError("unreachable")


@contextlib.contextmanager
def retry_storage_errors() -> Iterator[None]:
    """Turns an `OSError` of the block into `RetryLater`: storage that does not answer may answer later.

    Raises:
        RetryLater: the block raised an `OSError`; the message begins with "storage: ", or says that a file is gone.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise RetryLater(GONE) from error
    except OSError as error:
        raise RetryLater(f"storage: {error.strerror or error}") from error
