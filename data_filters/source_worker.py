"""The worker that measures sources: one Ray actor with a child that may hang or crash."""

from __future__ import annotations

import dataclasses
import signal
import time
from typing import Any

from framemill.data_filters.archives import ArchiveError
from framemill.data_filters.ledger import Part, clip_rows, fact_columns, note, read_part, write_part
from framemill.data_filters.measure_types import Ended, MeasuredClip, MeasureSettings, SourceFacts
from framemill.data_filters.sidecars import SidecarError, provenance
from framemill.data_filters.sources import Source, is_gone, local_copy, read_sidecars, stamp_of
from framemill.platform.child import ChildCrashed, ChildTimeout, ExpendableChild
from framemill.platform.storage import LockToken, StorageError

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
        try:
            # A worker restarted by Ray is given its row again, which may be done already.
            if read_part(self.output, source) is None:
                self.token.check()
                note(self.output, event="start", path=source.path, attempt=self.token.attempt)
                began = time.monotonic()
                part = self.measure(source)
                part = dataclasses.replace(part, seconds=round(time.monotonic() - began, 3))
                self.token.check()
                write_part(self.output, part, list(self.settings.filters))
                note(self.output, event="done", path=source.path, attempt=self.token.attempt)
        except Later as reason:
            return {"name": source.path, "waits": str(reason)}
        except StorageError as error:
            return {"name": source.path, "waits": f"storage: {error}"}
        return {"name": source.path, "waits": ""}

    def measure(self, source: Source) -> Part:
        """The part of a source, read to its end or failed for good.

        Raises:
            Later: a time limit, storage, or a signal from outside; or the file changed meanwhile.
        """
        beside = provenance()
        reason = ""
        try:
            caption, beside = read_sidecars(source.uri)
            with local_copy(source.uri) as path:
                items = call_twice(
                    self.child,
                    "framemill.data_filters.measure:measure_source",
                    path,
                    self.settings,
                    timeout=self.timeout_s,
                )
        except (ArchiveError, SidecarError) as error:
            reason = str(error)
        except ChildCrashed as error:
            reason = f"the decoder crashed twice: {error}"
        except FileNotFoundError as error:
            raise Later(GONE) from error
        except PermissionError:
            reason = "no permission to read it"
        except OSError as error:
            raise Later(f"storage: {error.strerror or error}") from error
        if (stamp := stamp_of(source.uri)) != source.stamp:
            raise Later(GONE if is_gone(stamp) else "it changed while it was read")
        if reason:
            return Part(source, None, reason, beside, [])
        facts, ended = items[0], items[-1]
        assert isinstance(facts, SourceFacts) and isinstance(ended, Ended)
        clips = [item for item in items if isinstance(item, MeasuredClip)]
        rows = clip_rows(source, facts.source_id, caption, clips)
        columns = fact_columns(facts.video, ended.fps_varies)
        told = (facts.source_id, ended.reason, beside)
        return Part(source, *told, rows, screened=ended.screened, facts=columns)


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
