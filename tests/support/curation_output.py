"""What a curation leaves in its output: the journal of its workers, and the bytes that another run must give too."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from framemill.data_filters.config import CurateConfig
from framemill.data_filters.ledger.event_log import EVENT_LOG
from framemill.platform.audit import audit
from framemill.platform.dataset import read_ledger
from framemill.platform.storage import TEMPORARY

Configure = Callable[..., CurateConfig]
"""The fixture `configure`: a config from input, output and `key=value` words."""
PACK = ("pack.samples_per_shard=2", "workers=1")
"""Keys of a small curation with several shards."""
Entry = dict[str, Any]
"""A line of the journal: `event` is start or done, `attempt` numbers the driver, `pid` is the worker's. What it is
about is named by `path` (a source that is measured), `scored` (a source) or `shard`."""


def read_journal(output: Path) -> list[Entry]:
    """All lines of an output's journal, oldest first; none where there is no journal yet."""
    file = output / EVENT_LOG
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def finished_entries(output: Path, since: int = 0) -> list[Entry]:
    """The `done` entries of the journal after its first `since` lines."""
    return [entry for entry in read_journal(output)[since:] if entry["event"] == "done"]


def work_name(entry: Entry) -> str:
    """The source or the shard that an entry is about."""
    return entry.get("path") or entry["shard"]


def unfinished_work(entries: list[Entry]) -> dict[str, int]:
    """Process id of the worker, by source or shard, of all that was started and is not done."""
    workers: dict[str, int] = {}
    for entry in entries:
        if entry["event"] == "start":
            workers[work_name(entry)] = entry["pid"]
        else:
            workers.pop(work_name(entry), None)
    return workers


def sources_measured(entries: list[Entry]) -> set[str]:
    """Paths of the sources whose decode pass the entries record."""
    return {entry["path"] for entry in entries if "path" in entry}


def clips_cut(entries: list[Entry]) -> int:
    """Number of clips that the packing of shards cut from their sources, as opposed to reused from earlier shards."""
    return sum(entry["cut"] for entry in entries if "shard" in entry)


def shard_bytes(output: Path) -> dict[str, bytes]:
    """Content of the index and of every shard, by file name."""
    return {file.name: file.read_bytes() for file in [output / "index.json", *sorted((output / "shards").iterdir())]}


def dataset_bytes(output: Path) -> dict[str, bytes]:
    """Content of the index, `samples.parquet`, every shard and every ledger, by path in the output."""
    files = [output / "index.json", output / "samples.parquet"]
    files += [file for name in ("shards", "ledger") for file in (output / name).iterdir()]
    return {str(file.relative_to(output)): file.read_bytes() for file in files}


def committed_bytes(output: Path) -> dict[str, bytes]:
    """Content of the dataset's files and of the report, the report without its times."""
    return {**dataset_bytes(output), "report.html": without_times((output / "report.html").read_bytes())}


def without_times(report: bytes) -> bytes:
    """A report without the section that holds times."""
    head, opening, rest = report.partition(b'<section id="slowest">')
    return head + rest.partition(b"</section>")[2] if opening else report


def source_states(output: Path) -> dict[str, tuple[str, str | None]]:
    """State and reason of every source, by path."""
    return {row["path"]: (row["state"], row["reason"]) for row in read_ledger(str(output), "sources").to_pylist()}


def find_problems(output: Path, undisturbed: Path) -> list[str]:
    """Every difference between a dataset whose run was killed and one whose run was not; empty where there is none.

    Also what the audit finds, temporary files left behind, and work that was done twice.
    """
    ours, theirs = committed_bytes(output), committed_bytes(undisturbed)
    problems = audit(str(output)).problems
    problems += [f"{name}: in only one of the two" for name in sorted(ours.keys() ^ theirs.keys())]
    problems += [f"{name}: differs" for name in sorted(ours.keys() & theirs.keys()) if ours[name] != theirs[name]]
    problems += [f"{file}: left behind" for file in sorted(output.rglob(f"{TEMPORARY}*"))]
    return problems + find_journal_problems(read_journal(output))


def find_journal_problems(entries: list[Entry]) -> list[str]:
    """Work that was done twice, started again once done, or recorded for a driver whose successor had begun."""
    problems = []
    done: set[str] = set()
    latest = 0
    for entry in entries:
        name, attempt = work_name(entry), entry["attempt"]
        if name in done:
            problems.append(f"journal: {entry['event']} of {name} by attempt {attempt}, when it was done")
        if attempt < latest:
            problems.append(f"journal: {entry['event']} of {name} by attempt {attempt}, after {latest} had begun")
        if entry["event"] == "done":
            done.add(name)
        latest = max(latest, attempt)
    return problems
