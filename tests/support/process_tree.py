"""The descendants of a process, read from /proc, and which of them are a curation's workers and decoders."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

ACTORS = ("SourceWorker", "ModelWorker", "CaptionWorker", "ShardWorker")


@dataclass(frozen=True)
class Process:
    """A process. Its start time tells it from a later process with the same number."""

    pid: int
    started: str
    """Start time in clock ticks since boot, as /proc states it."""
    parent: int
    command: str

    def alive(self) -> bool:
        """Whether the process still runs."""
        current = find_process(self.pid)
        return current is not None and current.started == self.started

    def send(self, number: signal.Signals) -> None:
        """Sends a signal, if the process still runs."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def find_process(pid: int) -> Process | None:
    """The process of a number; None where there is none, or it is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else Process(pid, fields[19], int(fields[1]), command)


def descendants(pid: int) -> list[Process]:
    """The children of a process, their children, and so on."""
    every = [process for name in os.listdir("/proc") if name.isdigit() and (process := find_process(int(name)))]
    family, size = {pid}, 0
    while len(family) > size:
        size = len(family)
        family |= {process.pid for process in every if process.parent in family}
    return [process for process in every if process.pid in family - {pid}]


def workers(family: list[Process]) -> list[Process]:
    """The Ray actors of a curation's pools."""
    return [process for process in family if any(actor in process.command for actor in ACTORS)]


def decoders(family: list[Process]) -> list[Process]:
    """The child processes in which workers decode."""
    return [process for process in family if "framemill.platform.child_process import serve" in process.command]
