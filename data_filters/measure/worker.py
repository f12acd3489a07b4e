"""The worker that measures sources: one Ray actor with a decoder process, which may hang or crash."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from framemill.data_filters.filters.registry import score_columns
from framemill.data_filters.ledger.event_log import log_event
from framemill.data_filters.ledger.parts import Part, read_part, write_part
from framemill.data_filters.ledger.reasons import Cause, Reason
from framemill.data_filters.ledger.source_row import FileFacts
from framemill.data_filters.measure.clip_rows import clip_rows
from framemill.data_filters.measure.messages import Ended, MeasuredClip, MeasureSettings, SourceFacts
from framemill.data_filters.sources.archive_errors import ArchiveError
from framemill.data_filters.sources.sidecars import SidecarError, provenance
from framemill.data_filters.sources.source import Source, fetch_source, read_sidecars
from framemill.data_filters.sources.unchanged import require_unchanged
from framemill.platform.child_process import ChildCrashed, ChildProcess
from framemill.platform.pools import PoolWorker
from framemill.platform.retry import call_with_retry, retry_storage_errors
from framemill.platform.writer_lock import LockToken

_DECODE_PASS = "framemill.data_filters.measure.decode_pass:measure_source"


class SourceWorker(PoolWorker):
    """Measures sources one by one and commits a part of the ledger for each."""

    def __init__(self, output: str, token: LockToken, settings: MeasureSettings, timeout_s: float) -> None:
        self.output, self.token, self.settings, self.timeout_s = output, token, settings, timeout_s
        self.child = ChildProcess()

    @staticmethod
    def name(item: str) -> str:
        """Returns the source's path."""
        return Source.from_json(item).path

    def do(self, item: str) -> str:
        """Measures a source, given as JSON, and commits its part.

        Raises:
            RetryLater: the decoder timed out or was killed from outside, storage did not answer, or the file changed
                since it was listed.
            FramemillError: another driver owns the output.
        """
        source = Source.from_json(item)
        # A worker that Ray restarts gets its item again, whose part may already be committed.
        if read_part(self.output, source) is None:
            self.token.check()
            log_event(self.output, event="start", path=source.path, attempt=self.token.attempt)
            began = time.monotonic()
            part, clips = self.measure(source)
            part = dataclasses.replace(part, seconds=round(time.monotonic() - began, 3))
            self.token.check()
            write_part(self.output, part, clips, score_columns(self.settings.filters))
            log_event(self.output, event="done", path=source.path, attempt=self.token.attempt)
        return ""

    def measure(self, source: Source) -> tuple[Part, list[dict[str, Any]]]:
        """Returns the part of a source and the rows of its clips.

        The source was decoded to its end, rejected by the key-frame pre-filter, or failed with an error that a retry
        would not change.

        Raises:
            RetryLater: the decoder timed out or was killed from outside, storage did not answer, or the file changed
                since it was listed.
        """
        sidecars = provenance()
        reason: Reason | None = None
        with retry_storage_errors():
            try:
                caption, sidecars = read_sidecars(source.uri)
                with fetch_source(source.uri) as path:
                    items = call_with_retry(self.child, _DECODE_PASS, path, self.settings, timeout=self.timeout_s)
            except SidecarError as error:
                reason = Reason(Cause.SIDECAR, detail=str(error))
            except ArchiveError as error:
                reason = Reason(Cause.UNREADABLE, detail=str(error))
            except ChildCrashed as error:
                reason = Reason(Cause.UNREADABLE, detail=f"the decoder crashed twice: {error}")
            except PermissionError:
                reason = Reason(Cause.UNREADABLE, detail="no permission to read it")
        require_unchanged(source)
        if reason:
            return Part(source, None, reason, sidecars), []
        facts, ended = items[0], items[-1]
        assert isinstance(facts, SourceFacts) and isinstance(ended, Ended)
        rows = clip_rows(source, facts.source_id, caption, [item for item in items if isinstance(item, MeasuredClip)])
        file_facts = FileFacts.of(facts.video, ended.fps_varies)
        return Part(source, facts.source_id, ended.reason, sidecars, file_facts), rows
