"""The worker that measures sources: one Ray actor with a child that may hang or crash."""

from __future__ import annotations

import signal
from typing import Any

from framemill.data_filters.ledger import Part, clip_rows, note, read_part, write_part
from framemill.data_filters.measure_types import Ended, MeasuredClip, MeasureSettings, SourceFacts
from framemill.data_filters.sources import Source, read_sidecars, stamp_of
from framemill.platform import storage
from framemill.platform.child import ChildCrashed, ChildTimeout, ExpendableChild
from framemill.platform.storage import LockToken

ATTEMPTS = 2
GONE = "it is no longer there"
OUTSIDE_SIGNALS = (signal.SIGKILL, signal.SIGTERM)
"""Signals that come from outside (out of memory, a shutdown): the file is not to blame, and may succeed later."""


class Later(Exception):
    """It did not succeed, and may yet. The message says what happened."""


class SourceWorker:
    """Takes sources one by one and commits a part for each."""

    def __init__(self, output: str, token: LockToken, settings: MeasureSettings, timeout_s: float) -> None:
        self.output, self.token, self.settings, self.timeout_s = output, token, settings, timeout_s
        self.child = ExpendableChild()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Measures `row["work"]`, a Source as JSON; gives its path, and why it must wait or ""."""
        source = Source.from_json(row["work"])
        # A worker restarted by Ray is given its row again, which may be done already.
        if read_part(self.output, source) is not None:
            return {"name": source.path, "waits": ""}
        note(self.output, event="start", path=source.path, attempt=self.token.attempt)
        try:
            part = self.measure(source)
        except Later as reason:
            return {"name": source.path, "waits": str(reason)}
        self.token.check()
        write_part(self.output, part, list(self.settings.filters))
        note(self.output, event="done", path=source.path, attempt=self.token.attempt)
        return {"name": source.path, "waits": ""}

    def measure(self, source: Source) -> Part:
        """The part of a source, read to its end or failed for good.

        Raises:
            Later: a time limit, storage, or a signal from outside; or the file changed meanwhile.
        """
        try:
            caption, provenance = read_sidecars(source.uri)
        except ValueError as error:
            return Part(source, None, str(error), {"tags": [], "licence": None}, [])
        try:
            with storage.local_copy(source.uri) as path:
                items = call_twice(
                    self.child,
                    "framemill.data_filters.measure:measure_source",
                    path,
                    self.settings,
                    timeout=self.timeout_s,
                )
        except ChildCrashed as error:
            return Part(source, None, f"the decoder crashed twice: {error}", provenance, [])
        except FileNotFoundError as error:
            raise Later(GONE) from error
        except PermissionError:
            return Part(source, None, "no permission to read it", provenance, [])
        except OSError as error:
            raise Later(f"storage: {error.strerror or error}") from error
        if stamp_of(source.uri) != source.stamp:
            raise Later("it changed while it was read" if storage.exists(source.uri) else GONE)
        facts, ended = items[0], items[-1]
        assert isinstance(facts, SourceFacts) and isinstance(ended, Ended)
        clips = [item for item in items if isinstance(item, MeasuredClip)]
        rows = clip_rows(source, facts.source_id, caption, clips)
        return Part(source, facts.source_id, ended.reason, provenance, rows, ended.screened)


def call_twice(child: ExpendableChild, function: str, *arguments: Any, timeout: float) -> Any:
    """The result of a call that is made again if the child hung or died.

    Raises:
        ChildCrashed: it crashed each time.
        Later: it hung, or was killed from outside, the last time.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return child.call(function, *arguments, timeout=timeout)
        except ChildTimeout as error:
            if attempt == ATTEMPTS:
                raise Later(f"time limit: {error}") from error
        except ChildCrashed as error:
            if attempt == ATTEMPTS and error.signal in OUTSIDE_SIGNALS:
                raise Later(str(error)) from error
            if attempt == ATTEMPTS:
                raise
    raise AssertionError("unreachable")
