"""The ledger: one record for every (video, dimension) measured, written as the work goes on.

Records are committed in parts, files that are never touched again, so that a kill loses a few seconds of work at most
and object stores, which cannot append, serve as well as disks. When all is measured the parts become one file in the
suite's order, the same whatever the number of workers and restarts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import asdict

from framemill.eval.dimensions import dimension_class
from framemill.eval.measure import Record
from framemill.eval.suites import Manifest
from framemill.platform import storage
from framemill.platform.writer_lock import LockToken

RECORDS = "records.jsonl"
FLUSH_RECORDS = 64
FLUSH_SECONDS = 5.0


class Ledger:
    """The records of one output. `token` is asked before every write, so that only the latest attempt writes."""

    def __init__(self, output: str, token: LockToken) -> None:
        self.folder = storage.join(output, "ledger")
        self._token = token
        self._unwritten: list[Record] = []
        self._written_at = time.monotonic()
        self._parts = [name for name in storage.list_dir(self.folder) if name.startswith("part-")]
        self.records: dict[tuple[str, str], Record] = {}
        whole = [RECORDS] if storage.exists(storage.join(self.folder, RECORDS)) else []
        for name in whole + self._parts:
            for line in storage.read_bytes(storage.join(self.folder, name)).decode("utf-8").splitlines():
                self._keep(Record(**json.loads(line)))

    def forget_stale(self, videos: str, manifest: Manifest) -> None:
        """Drops what is true no more: of videos gone or changed, of other prompts, of older versions of a dimension."""
        recorded = {video for video, _ in self.records}
        present = {
            (video.name, video.prompt): storage.sha256_file(storage.join(videos, video.name))
            for video in manifest.videos
            if video.name in recorded
        }
        self.records = {
            key: record
            for key, record in self.records.items()
            if record.sha256 == present.get((record.video, record.prompt))
            and record.version == dimension_class(record.dimension).version
        }

    def add(self, records: Iterable[Record]) -> None:
        """Takes records in; they reach storage within FLUSH_SECONDS of the next call, or at `flush`."""
        for record in records:
            self._keep(record)
            self._unwritten.append(record)
        if len(self._unwritten) >= FLUSH_RECORDS or time.monotonic() - self._written_at >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Commits what is not yet in storage as one part."""
        if self._unwritten:
            number = int(self._parts[-1].split("-")[1].split(".")[0]) + 1 if self._parts else 0
            self._parts.append(f"part-{number:06d}.jsonl")
            self._write(self._parts[-1], self._unwritten)
            self._unwritten = []
        self._written_at = time.monotonic()

    def compact(self, manifest: Manifest) -> None:
        """Makes one file of all parts, in the manifest's order."""
        self.flush()
        order = [(video.name, dimension) for video in manifest.videos for dimension in video.dimensions]
        self._write(RECORDS, [self.records[key] for key in order if key in self.records])
        for name in self._parts:
            storage.remove(storage.join(self.folder, name))
        self._parts = []

    def _keep(self, record: Record) -> None:
        self.records[record.video, record.dimension] = record

    def _write(self, name: str, records: list[Record]) -> None:
        self._token.check()
        lines = [json.dumps(asdict(record), ensure_ascii=False, sort_keys=True) + "\n" for record in records]
        storage.write_atomic(storage.join(self.folder, name), "".join(lines).encode("utf-8"))
