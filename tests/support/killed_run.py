"""A curation by the console command that is killed as planned, and started again by the same command each time."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from framemill.platform.storage import TEMPORARY
from framemill.platform.writer_lock import read_owner
from tests.support.curation_output import read_journal, unfinished_work
from tests.support.kill_plan import Kill, KillRecord, half_written_shards, is_due
from tests.support.process_tree import Process, decoders, descendants, workers

PATIENCE_S = 600.0
"""Longest wait for any moment of a run: Ray alone may take a minute to start on a busy machine."""
MAX_FAILURES = 3
"""How often a run may end with status 1 and is started again, as where a busy machine has no time for Ray to start."""
POLL_S = 0.002
MISSED = "MISSED: the run was over"
FileStamps = dict[str, tuple[int, int]]


class KilledRun:
    """One curation whose driver is started again whenever it dies."""

    def __init__(self, footage: Path, output: Path, words: list[str], seed: int = 0) -> None:
        self.output, self.dice = output, random.Random(seed)
        self.log = output.with_name(output.name + ".log")
        self.command = [sys.executable, "-m", "framemill.jobs.cli", "curate", f"input={footage}", f"output={output}"]
        self.command += ["workers=2", *words]
        self.problems: list[str] = []
        """What went wrong during the run."""
        self.failures: list[str] = []
        """The last line of each driver that ended with status 1 and was started again."""
        self.orphans: list[Process] = []
        """Processes of killed drivers that are still alive."""
        self.last_orphan = ""
        """The process that was last seen to outlive its driver, and for how long."""
        self.killed_at = 0.0

    def run(self, kills: list[Kill], report: Callable[[KillRecord], None] = lambda record: None) -> list[KillRecord]:
        """Runs to the end through all kills; calls `report` after each.

        Raises:
            RuntimeError: the run failed or hung.
        """
        records: list[KillRecord] = []
        try:
            self.restart()
            for kill in kills:
                records.append(self.carry_out(kill))
                report(records[-1])
            for _ in self.wait_for("the end of the run"):
                if self.has_ended():
                    break
        finally:
            for process in [*self.orphans, *descendants(self.driver.pid)]:
                process.send(signal.SIGKILL)
            self.driver.kill()
            self.driver.wait()
        return records

    def restart(self) -> None:
        """Starts a driver by the same command."""
        self.attempts_before = read_owner(str(self.output))[0]
        with open(self.log, "a") as log:
            self.driver = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def has_ended(self) -> bool:
        """Whether the work is done; a driver that ended with status 1 (may succeed later) is started again.

        Raises:
            RuntimeError: the driver failed otherwise, or too often.
        """
        if self.driver.poll() is None:
            return False
        if self.driver.returncode == 0:
            return True
        self.failures.append(self.log.read_text().strip().splitlines()[-1])
        if self.driver.returncode != 1 or len(self.failures) > MAX_FAILURES:
            raise RuntimeError(f"curate ended with {self.driver.returncode}: {self.log.read_text()[-2000:]}")
        self.restart()
        return False

    def wait_for(self, moment: str) -> Iterator[None]:
        """Yields every POLL_S seconds, for the caller to check whether the moment has come.

        Raises:
            RuntimeError: it has not come within PATIENCE_S seconds.
        """
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            yield
            self.orphans = [process for process in self.orphans if process.alive()]
            if self.orphans:
                name = self.orphans[0].command.split(" ")[0].rpartition("/")[2]
                self.last_orphan = f"{name} lived {time.monotonic() - self.killed_at:.1f} s"
            time.sleep(POLL_S)
        raise RuntimeError(f"{moment} did not come within {PATIENCE_S:g} s: {self.log.read_text()[-2000:]}")

    def carry_out(self, kill: Kill) -> KillRecord:
        """Waits for the moment of a kill and kills."""
        for _ in self.wait_for(f"the moment of {kill}"):
            if self.has_ended():
                return KillRecord(kill, 0, 0, outcome=MISSED)
            if not is_due(kill, self.output, self.attempts_before):
                continue
            time.sleep(kill.delay_s)
            if self.driver.poll() is not None or not is_due(kill, self.output, self.attempts_before):
                continue
            if kill.victim.startswith("driver"):
                return self.kill_driver(kill, stop_workers="stopped" in kill.victim)
            record = self.snapshot(kill)
            candidates = self.find_victims(kill.victim)
            # Finding the processes takes a while, in which their work may have ended.
            if candidates and is_due(kill, self.output, self.attempts_before):
                self.dice.choice(sorted(candidates, key=lambda process: process.pid)).send(signal.SIGKILL)
                return record
        raise AssertionError("unreachable")

    def find_victims(self, victim: str) -> list[Process]:
        """The workers that have unfinished work, or their decoders."""
        busy = set(unfinished_work(read_journal(self.output)).values())
        family = descendants(self.driver.pid)
        busy_workers = [process for process in workers(family) if process.pid in busy]
        if victim != "decoder":
            return busy_workers
        return [process for process in decoders(family) if process.parent in {worker.pid for worker in busy_workers}]

    def snapshot(self, kill: Kill) -> KillRecord:
        """The record of a kill that is carried out now."""
        return KillRecord(kill, len(unfinished_work(read_journal(self.output))), half_written_shards(self.output))

    def kill_driver(self, kill: Kill, stop_workers: bool) -> KillRecord:
        """Kills the driver, starts its successor at once, and watches what the killed driver's processes still do.

        With `stop_workers` they are stopped in the middle of a piece of work, and go on once the successor owns the
        output, when they may no longer commit it.
        """
        stopped = self.stop_workers_at_work() if stop_workers else []
        orphans = descendants(self.driver.pid)
        record = self.snapshot(kill)
        self.driver.kill()
        self.driver.wait()
        self.killed_at = time.monotonic()
        self.orphans += orphans
        record.orphans = sum(process.alive() for process in orphans)
        self.restart()
        self.watch_orphans(kill, stopped)
        record.outcome = "gone on by the same command"
        return record

    def watch_orphans(self, kill: Kill, stopped: list[Process]) -> None:
        """Until the successor's first piece of work nobody may finish anything; continues the stopped workers."""
        before: FileStamps | None = None
        for _ in self.wait_for("the successor's first piece of work"):
            if self.driver.poll() is not None or self.successor_has_started_work():
                break
            if before is None and read_owner(str(self.output))[0] > self.attempts_before:
                before = finished_files(self.output)
                for process in stopped:
                    process.send(signal.SIGCONT)
            elif before is not None and finished_files(self.output) != before and not self.successor_has_started_work():
                self.problems.append(f"{kill}: an orphan finished something after its successor took over")
                before = finished_files(self.output)
        for process in stopped:
            process.send(signal.SIGCONT)

    def stop_workers_at_work(self) -> list[Process]:
        """Stops the workers with SIGSTOP while one of them has unfinished work, and returns them."""
        for _ in self.wait_for("unfinished work of the workers"):
            self.wait_for_new_work()
            stopped = workers(descendants(self.driver.pid))
            for process in stopped:
                process.send(signal.SIGSTOP)
            if unfinished_work(read_journal(self.output)) or self.driver.poll() is not None:
                return stopped
            for process in stopped:
                process.send(signal.SIGCONT)
        raise AssertionError("unreachable")

    def wait_for_new_work(self) -> None:
        """Waits until a worker has just started something: stopped then, all of it is still to be committed."""
        seen = len(read_journal(self.output))
        for _ in self.wait_for("the start of a piece of work"):
            entries = read_journal(self.output)
            if self.driver.poll() is not None or any(entry["event"] == "start" for entry in entries[seen:]):
                return
            seen = len(entries)

    def successor_has_started_work(self) -> bool:
        """Whether the driver that owns the output has an entry in the journal, or has committed."""
        attempt = read_owner(str(self.output))[0]
        committed = (self.output / "samples.parquet").exists()
        return committed or any(entry["attempt"] == attempt for entry in read_journal(self.output))


def finished_files(output: Path) -> FileStamps:
    """Size and modification time of every part, shard and manifest that is not temporary."""
    stamps = {}
    for folder in ("shards", "work/parts", "work/shards"):
        for file in (output / folder).glob("*"):
            with contextlib.suppress(FileNotFoundError):
                if not file.name.startswith(TEMPORARY):
                    stamps[str(file)] = (file.stat().st_size, file.stat().st_mtime_ns)
    return stamps
