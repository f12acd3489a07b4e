"""Ledger of an evaluation: one record for every video and dimension, written while the job runs.

Records are committed in part files that are never changed, so that a killed job loses at most a few seconds of work,
and the ledger can be stored in an object store, which cannot append. When everything is measured, the parts are merged
into one file in the suite's order, which does not depend on the number of workers and restarts.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from framemill.eval.records import DimensionRecord, ordered_records, parse_record
from framemill.eval.suites import EvaluationPlan
from framemill.platform import storage
from framemill.platform.text import file_lines
from framemill.platform.writer_lock import LockToken

_RECORDS = "records.jsonl"
"""File with all records, written when everything is measured."""
_FLUSH_RECORDS = 64
"""Number of unwritten records at which `add` commits a part."""
_FLUSH_SECONDS = 5.0
"""Seconds after which `add` commits a part, however few records it has."""


class EvaluationLedger:
    """Reads and writes the ledger of one evaluation.

    Args:
        output: the job's output folder, as a path or URI; an earlier run's records are read from it.
        token: writer lock, checked before every write, so that only the latest attempt writes.
    """

    def __init__(self, output: str, token: LockToken) -> None:
        self.folder = storage.join(output, "ledger")
        self.records: dict[tuple[str, str], DimensionRecord] = {}
        """Records by (video, dimension)."""
        self._token = token
        self._unwritten: list[DimensionRecord] = []
        self._flushed_at = time.monotonic()
        names = storage.list_dir(self.folder)
        self._parts = [name for name in names if name.startswith("part-")]
        for name in [_RECORDS] * (_RECORDS in names) + self._parts:
            for line in file_lines(storage.read_bytes(storage.join(self.folder, name)).decode("utf-8")):
                record = parse_record(line)
                if record is not None:
                    self._insert(record)

    def drop_stale(self, videos: str, plan: EvaluationPlan) -> None:
        """Drops the records of videos that are not in the plan, or whose content or prompt has changed.

        Args:
            videos: folder of the videos, as a path or URI.
            plan: the videos to score.
        """
        recorded = {video for video, _ in self.records}
        current = {
            (video.name, video.prompt): storage.sha256_file(storage.join(videos, video.name))
            for video in plan.videos
            if video.name in recorded
        }
        self.records = {
            key: record
            for key, record in self.records.items()
            if record.sha256 == current.get((record.video, record.prompt))
        }

    def add(self, records: Iterable[DimensionRecord]) -> None:
        """Adds records; commits a part if 64 records are unwritten or the last commit was 5 seconds ago."""
        for record in records:
            self._insert(record)
            self._unwritten.append(record)
        if len(self._unwritten) >= _FLUSH_RECORDS or time.monotonic() - self._flushed_at >= _FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Commits all unwritten records as one part."""
        if self._unwritten:
            number = int(self._parts[-1].split("-")[1].split(".")[0]) + 1 if self._parts else 0
            self._parts.append(f"part-{number:06d}.jsonl")
            self._write(self._parts[-1], self._unwritten)
            self._unwritten = []
        self._flushed_at = time.monotonic()

    def compact(self, plan: EvaluationPlan) -> None:
        """Merges all parts into one file, in the plan's order."""
        self.flush()
        self._write(_RECORDS, ordered_records(plan, self.records))
        for name in self._parts:
            storage.remove(storage.join(self.folder, name))
        self._parts = []

    def _insert(self, record: DimensionRecord) -> None:
        self.records[record.video, record.dimension] = record

    def _write(self, name: str, records: list[DimensionRecord]) -> None:
        self._token.check()
        text = "".join(f"{record.to_line()}\n" for record in records)
        storage.write_atomic(storage.join(self.folder, name), text.encode("utf-8"))
