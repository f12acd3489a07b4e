"""Reading a source again after it was measured: the file must be unchanged since it was listed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from framemill.data_filters.sources.archive_errors import ArchiveError
from framemill.data_filters.sources.listing import source_stamp
from framemill.data_filters.sources.source import Source, is_gone
from framemill.platform.retry import GONE, RetryLater, retry_storage_errors


def require_unchanged(source: Source) -> None:
    """Checks that a source's file and its sidecars have not changed since they were listed.

    Raises:
        RetryLater: the file is gone, or the file or a sidecar changed.
    """
    stamp = source_stamp(source.uri)
    if stamp != source.stamp:
        raise RetryLater(GONE if is_gone(stamp) else "it changed after it was listed")


@contextlib.contextmanager
def retry_source_errors() -> Iterator[None]:
    """Turns the errors of reading a source again into `RetryLater`.

    Raises:
        RetryLater: storage did not answer, the file is gone, or the archive cannot be read any more.
    """
    try:
        with retry_storage_errors():
            yield
    except ArchiveError as error:
        raise RetryLater(str(error)) from error
