"""The retry policy of all jobs: which errors are final for an item, and which leave the item pending.

An item that may succeed later is never recorded as failed. The item stays pending, the job continues with the other
items and ends with exit status 1, and the same command retries the item.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any

from framemill.platform.child_process import ChildCrashed, ChildProcess, ChildTimeout

ATTEMPTS = 2
"""Number of calls of a child process before a timeout or a crash is reported."""
GONE = "it is no longer there"
"""Reason of pending items whose file was deleted after it was listed."""
OUTSIDE_SIGNALS = (signal.SIGKILL, signal.SIGTERM)
"""Signals that the system sends (out of memory, shutdown); they are not caused by the file that was being read."""


class RetryLater(Exception):
    """A transient failure: the item stays pending and the job ends with exit status 1."""


def killed_from_outside(error: ChildCrashed) -> bool:
    """Returns whether the system killed a child process, so that its input did not cause the crash."""
    return error.signal in OUTSIDE_SIGNALS


def call_with_retry(child: ChildProcess, function: str, *arguments: Any, timeout: float) -> Any:
    """Calls a function in a child process and returns its result; retries once after a timeout or a crash.

    Args:
        child: process that runs the call; it is restarted before the second attempt.
        function: "module:name".
        arguments: positional arguments; they and the result must pickle.
        timeout: maximum time in seconds before the result, or before each item of an iterator.

    Raises:
        ChildCrashed: the child crashed in every attempt. This is final for the item.
        RetryLater: the last attempt timed out, or the system killed the child.
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
    """Context manager that turns an `OSError` of the block into `RetryLater`, since storage may answer later.

    Raises:
        RetryLater: the block raised an `OSError`; the message is GONE for a missing file.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise RetryLater(GONE) from error
    except OSError as error:
        raise RetryLater(f"storage: {error.strerror or error}") from error
