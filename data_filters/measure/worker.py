"""The worker that measures sources: one Ray actor with a child that may hang or crash."""

from __future__ import annotations

import dataclasses
import time

from framemill.data_filters.ledger.parts import Part, clip_rows, fact_columns, log_event, read_part, write_part
from framemill.data_filters.measure.messages import Ended, MeasuredClip, MeasureSettings, SourceFacts
from framemill.data_filters.sources.archive_errors import ArchiveError
from framemill.data_filters.sources.sidecars import SidecarError, provenance
from framemill.data_filters.sources.source import Source, fetch_source, is_gone, read_sidecars, source_stamp
from framemill.platform.child_process import ChildCrashed, ChildProcess
from framemill.platform.pools import PoolWorker
from framemill.platform.retry import RetryLater, call_with_retry
from framemill.platform.writer_lock import LockToken

GONE = "it is no longer there"


class SourceWorker(PoolWorker):
    """Takes sources one by one and commits a part for each."""

    def __init__(self, output: str, token: LockToken, settings: MeasureSettings, timeout_s: float) -> None:
        self.output, self.token, self.settings, self.timeout_s = output, token, settings, timeout_s
        self.child = ChildProcess()

    def name(self, item: str) -> str:
        """Returns the source's path."""
        return Source.from_json(item).path

    def do(self, item: str) -> str:
        """Measures a source, given as JSON, and commits its part.

        Raises:
            RetryLater: see `measure`.
        """
        source = Source.from_json(item)
        # A worker that Ray restarts gets its item again, which may be done already.
        if read_part(self.output, source) is None:
            self.token.check()
            log_event(self.output, event="start", path=source.path, attempt=self.token.attempt)
            began = time.monotonic()
            part = self.measure(source)
            part = dataclasses.replace(part, seconds=round(time.monotonic() - began, 3))
            self.token.check()
            write_part(self.output, part, list(self.settings.filters))
            log_event(self.output, event="done", path=source.path, attempt=self.token.attempt)
        return ""

    def measure(self, source: Source) -> Part:
        """The part of a source, read to its end or failed for good.

        Raises:
            Later: a time limit, storage, or a signal from outside; or the file changed meanwhile.
        """
        beside = provenance()
        reason = ""
        try:
            caption, beside = read_sidecars(source.uri)
            with fetch_source(source.uri) as path:
                items = call_with_retry(
                    self.child,
                    "framemill.data_filters.measure.decode_pass:measure_source",
                    path,
                    self.settings,
                    timeout=self.timeout_s,
                )
        except (ArchiveError, SidecarError) as error:
            reason = str(error)
        except ChildCrashed as error:
            reason = f"the decoder crashed twice: {error}"
        except FileNotFoundError as error:
            raise RetryLater(GONE) from error
        except PermissionError:
            reason = "no permission to read it"
        except OSError as error:
            raise RetryLater(f"storage: {error.strerror or error}") from error
        if (stamp := source_stamp(source.uri)) != source.stamp:
            raise RetryLater(GONE if is_gone(stamp) else "it changed while it was read")
        if reason:
            return Part(source, None, reason, beside, [])
        facts, ended = items[0], items[-1]
        assert isinstance(facts, SourceFacts) and isinstance(ended, Ended)
        clips = [item for item in items if isinstance(item, MeasuredClip)]
        rows = clip_rows(source, facts.source_id, caption, clips)
        columns = fact_columns(facts.video, ended.fps_varies)
        told = (facts.source_id, ended.reason, beside)
        return Part(source, *told, rows, screened=ended.screened, facts=columns)
