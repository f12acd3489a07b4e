"""`framemill curate` killed from outside while it works: who dies, when, and what the output shows of it afterwards."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from framemill.data_filters.ledger.parts import JOURNAL
from framemill.platform.audit import audit
from framemill.platform.storage import TEMPORARY
from framemill.platform.vision.video import encode_mp4
from framemill.platform.writer_lock import read_owner
from tests.support.footage import moving
from tests.support.process_tree import Process, decoders, descendants, workers

VICTIMS = ("worker", "decoder", "driver", "worker", "decoder", "driver, workers held")
"""Held workers are stopped before their driver dies, and go on once a successor owns the output."""
PHASES = ("starting", "measuring", "packing", "mid-shard", "committing", "recording")
"""Mid-shard: a shard is half-written, or has no manifest yet. Recording: committed, and being told to MLflow."""
SIZE, FPS = (854, 480), 16
LONG_SCENES = 8
PATIENCE_S = 240.0
MOST_FAILURES = 3
"""How often a run may end with status 1, as where a busy machine has no time for Ray to start; it is told."""
POLL_S = 0.002
MISSED = "MISSED: the run was over"


@dataclass(frozen=True)
class Kill:
    victim: str
    phase: str
    after: int = 0
    """How many sources (shards, in the phases of packing) are done by then."""
    delay_s: float = 0.0


@dataclass
class Landed:
    """What one kill met."""

    kill: Kill
    in_flight: int
    """Sources and shards that were begun and not done."""
    half_written: int
    orphans: int = 0
    outcome: str = "the run went on"


def draw_footage(folder: Path, clips: int) -> Path:
    """So many short clips, and a long one of several scenes; every picture of every one is different."""
    folder.mkdir()
    for seed in range(clips):
        (folder / f"{seed:02d}.mp4").write_bytes(encode_mp4(moving(seed, 2.5, FPS, SIZE), FPS))
    scenes = (frame for i in range(LONG_SCENES) for frame in moving(clips + i, 2.5, FPS, SIZE))
    (folder / "long.mp4").write_bytes(encode_mp4(scenes, FPS))
    return folder


def plan_kills(seed: int, count: int, sources: int, shards: int) -> list[Kill]:
    """A driver killed at each edge of a run, where it alone is at work; the rest anywhere, any victim."""
    dice = random.Random(seed)
    edges = [Kill("driver", "starting", 0, dice.uniform(0, 4)), Kill("driver", "committing")]
    edges.append(Kill("driver", "recording", 0, dice.uniform(0, 1)))
    moments = [("measuring", n) for n in range(1, sources - 1)]
    moments += [(dice.choice(("packing", "mid-shard")), n) for n in range(shards - 1)]
    victims = [VICTIMS[i % len(VICTIMS)] for i in range(count - len(edges))]
    dice.shuffle(victims)
    anywhere = [
        Kill(victim, phase, after, dice.uniform(0, 0.1) if phase != "mid-shard" else 0.0)
        for victim, (phase, after) in zip(victims, dice.sample(moments, len(victims)), strict=True)
    ]
    # Packing and mid-shard are one stretch of a run.
    stretch = {"packing": 2, "mid-shard": 2}
    return sorted(edges + anywhere, key=lambda kill: (stretch.get(kill.phase, PHASES.index(kill.phase)), kill.after))


# ---------------------------------------------------------------------------------------------------- the output


def journal(output: Path) -> list[dict]:
    file = output / JOURNAL
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def name_of(entry: dict) -> str:
    return entry.get("path") or entry["shard"]


def busy(entries: list[dict]) -> dict[str, int]:
    """The worker (pid) of everything begun and not done."""
    begun: dict[str, int] = {}
    for entry in entries:
        if entry["event"] == "start":
            begun[name_of(entry)] = entry["pid"]
        else:
            begun.pop(name_of(entry), None)
    return begun


def half_written(output: Path) -> int:
    """Shards that are being written, or have no manifest."""
    manifests = output / "work" / "shards"
    return sum(not (manifests / f"{file.name}.json").exists() for file in (output / "shards").glob("*"))


def finished(output: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every part, shard and manifest."""
    found = {}
    for folder in ("shards", "work/parts", "work/shards"):
        for file in (output / folder).glob("*"):
            with contextlib.suppress(FileNotFoundError):
                if not file.name.startswith(TEMPORARY):
                    found[str(file)] = (file.stat().st_size, file.stat().st_mtime_ns)
    return found


def is_due(kill: Kill, output: Path, attempts_before: int) -> bool:
    entries = journal(output)
    done = [entry for entry in entries if entry["event"] == "done"]
    if kill.phase == "starting":
        return read_owner(str(output))[0] > attempts_before
    if kill.phase == "committing":
        return (output / "samples.parquet").exists()
    if kill.phase == "recording":
        return (output / "index.json").exists()
    if kill.phase == "measuring":
        return sum("path" in entry for entry in done) >= kill.after and bool(busy(entries))
    if sum("shard" in entry for entry in done) < kill.after or not busy(entries):
        return False
    return any("shard" in entry for entry in entries) and (kill.phase == "packing" or half_written(output) > 0)


# ---------------------------------------------------------------------------------------------------- killing


class Run:
    """One curation, its driver started again whenever it dies."""

    def __init__(self, footage: Path, output: Path, words: list[str], seed: int = 0) -> None:
        self.output, self.dice = output, random.Random(seed)
        self.log = output.with_name(output.name + ".log")
        self.command = [sys.executable, "-m", "framemill.jobs.cli", "curate", f"input={footage}", f"output={output}"]
        self.command += ["workers=2", *words]
        self.problems: list[str] = []
        self.failures: list[str] = []
        """The last line of each driver that ended with status 1, and was started again."""
        self.orphans: list[Process] = []
        self.last_orphan = ""
        """The process that was last seen to outlive its driver, and for how long."""
        self.killed_at = 0.0

    def start(self) -> None:
        self.attempts_before = read_owner(str(self.output))[0]
        with open(self.log, "a") as log:
            self.driver = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def go(self, kills: list[Kill], tell: Callable[[Landed], None] = lambda landed: None) -> list[Landed]:
        """Runs to the end through all these kills, and tells of each.

        Raises:
            RuntimeError: the run failed or hung.
        """
        landed: list[Landed] = []
        try:
            self.start()
            for kill in kills:
                landed.append(self.do(kill))
                tell(landed[-1])
            self.end()
        finally:
            for process in [*self.orphans, *descendants(self.driver.pid)]:
                process.send(signal.SIGKILL)
            self.driver.kill()
            self.driver.wait()
        return landed

    def end(self) -> None:
        for _ in self.until("the end of the run"):
            if self.has_ended():
                return

    def has_ended(self) -> bool:
        """Whether the work is done; a driver that ended with "may succeed later" is started again.

        Raises:
            RuntimeError: it failed otherwise, or too often.
        """
        if self.driver.poll() is None:
            return False
        if self.driver.returncode == 0:
            return True
        self.failures.append(self.log.read_text().strip().splitlines()[-1])
        if self.driver.returncode != 1 or len(self.failures) > MOST_FAILURES:
            raise RuntimeError(f"curate ended with {self.driver.returncode}: {self.log.read_text()[-2000:]}")
        self.start()
        return False

    def until(self, what: str) -> Iterator[None]:
        """Steps of waiting.

        Raises:
            RuntimeError: they take too long.
        """
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            yield
            self.orphans = [process for process in self.orphans if process.alive()]
            if self.orphans:
                name = self.orphans[0].command.split(" ")[0].rpartition("/")[2]
                self.last_orphan = f"{name} lived {time.monotonic() - self.killed_at:.1f} s"
            time.sleep(POLL_S)
        raise RuntimeError(f"{what} did not come within {PATIENCE_S:g} s: {self.log.read_text()[-2000:]}")

    def do(self, kill: Kill) -> Landed:
        """Waits for the moment and kills."""
        for _ in self.until(f"the moment of {kill}"):
            if self.has_ended():
                return Landed(kill, 0, 0, outcome=MISSED)
            if not is_due(kill, self.output, self.attempts_before):
                continue
            time.sleep(kill.delay_s)
            if self.driver.poll() is not None:
                continue
            if kill.victim.startswith("driver"):
                return self.kill_driver(kill, held="held" in kill.victim)
            at_work = set(busy(journal(self.output)).values())
            family = descendants(self.driver.pid)
            found = [one for one in workers(family) if one.pid in at_work]
            if kill.victim == "decoder":
                found = [one for one in decoders(family) if one.parent in {worker.pid for worker in found}]
            if found:
                meeting = self.meeting(kill)
                self.dice.choice(sorted(found, key=lambda one: one.pid)).send(signal.SIGKILL)
                return meeting
        raise AssertionError("unreachable")

    def meeting(self, kill: Kill) -> Landed:
        return Landed(kill, len(busy(journal(self.output))), half_written(self.output))

    def kill_driver(self, kill: Kill, held: bool) -> Landed:
        """Kills the driver, starts another at once, and watches what the first one's processes still do."""
        if held:
            self.catch_worker_at_start()
        orphans = descendants(self.driver.pid)
        frozen = workers(orphans) if held else []
        for process in frozen:
            process.send(signal.SIGSTOP)
        landed = self.meeting(kill)
        self.driver.kill()
        self.driver.wait()
        self.killed_at = time.monotonic()
        self.orphans += orphans
        landed.orphans = sum(process.alive() for process in orphans)
        self.start()
        before: dict[str, tuple[int, int]] | None = None
        for _ in self.until("the successor's first piece of work"):
            if self.driver.poll() is not None or self.successor_works():
                break
            # From the successor's lock to its own first piece of work nobody may finish anything.
            if before is None and read_owner(str(self.output))[0] > self.attempts_before:
                before = finished(self.output)
                for process in frozen:
                    process.send(signal.SIGCONT)
            elif before is not None and finished(self.output) != before and not self.successor_works():
                self.problems.append(f"{kill}: an orphan finished something after its successor took over")
                before = finished(self.output)
        for process in frozen:
            process.send(signal.SIGCONT)
        landed.outcome = "gone on by the same command"
        return landed

    def catch_worker_at_start(self) -> None:
        """Waits until a worker has just begun something: held then, it has all of it still to commit."""
        seen = len(journal(self.output))
        for _ in self.until("the start of a piece of work"):
            entries = journal(self.output)
            if self.driver.poll() is not None or any(entry["event"] == "start" for entry in entries[seen:]):
                return
            seen = len(entries)

    def successor_works(self) -> bool:
        attempt = read_owner(str(self.output))[0]
        committed = (self.output / "samples.parquet").exists()
        return committed or any(entry["attempt"] == attempt for entry in journal(self.output))


# ---------------------------------------------------------------------------------------------------- the verdict


def problems_of(output: Path, undisturbed: Path) -> list[str]:
    """What is wrong with an output whose run was killed; none means that it is as if nobody had."""
    problems = audit(str(output))
    ours, theirs = committed(output), committed(undisturbed)
    problems += [f"{name}: in only one of the two" for name in sorted(ours.keys() ^ theirs.keys())]
    problems += [f"{name}: differs" for name in sorted(ours.keys() & theirs.keys()) if ours[name] != theirs[name]]
    problems += [f"{file}: left behind" for file in sorted(output.rglob(f"{TEMPORARY}*"))]
    return problems + problems_of_journal(journal(output))


def committed(output: Path) -> dict[str, bytes]:
    """The bytes of every file of the dataset."""
    files = [output / "index.json", output / "samples.parquet", output / "report.html"]
    files += [*(output / "shards").iterdir(), *(output / "ledger").iterdir()]
    return {str(file.relative_to(output)): without_times(file.read_bytes()) for file in files}


def without_times(content: bytes) -> bytes:
    """A file's bytes; those of a report without the one section that holds times."""
    head, found, rest = content.partition(b'<section id="slowest">')
    return head + rest.partition(b"</section>")[2] if found else content


def problems_of_journal(entries: list[dict]) -> list[str]:
    """Work done twice, begun again once done, or done by a driver's workers after its successor's began."""
    problems = []
    done: set[str] = set()
    latest = 0
    for entry in entries:
        name, attempt = name_of(entry), entry["attempt"]
        if name in done:
            problems.append(f"journal: {entry['event']} of {name} by attempt {attempt}, when it was done")
        if attempt < latest:
            problems.append(f"journal: {entry['event']} of {name} by attempt {attempt}, after {latest} had begun")
        if entry["event"] == "done":
            done.add(name)
        latest = max(latest, attempt)
    return problems
