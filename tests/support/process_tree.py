"""The processes below one, as /proc tells of them, and who they are to a curation."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

ACTORS = ("SourceWorker", "ModelWorker", "CaptionWorker", "ShardWorker")


@dataclass(frozen=True)
class Process:
    """A process that no later one with its number is taken for."""

    pid: int
    started: str
    parent: int
    command: str

    def alive(self) -> bool:
        now = look(self.pid)
        return now is not None and now.started == self.started

    def send(self, number: signal.Signals) -> None:
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def look(pid: int) -> Process | None:
    """A process by number; None where there is none, or only its exit status is left."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else Process(pid, fields[19], int(fields[1]), command)


def descendants(pid: int) -> list[Process]:
    """The children of a process, theirs, and so on."""
    every = [found for name in os.listdir("/proc") if name.isdigit() and (found := look(int(name)))]
    family, size = {pid}, 0
    while len(family) > size:
        size = len(family)
        family |= {process.pid for process in every if process.parent in family}
    return [process for process in every if process.pid in family - {pid}]


def workers(family: list[Process]) -> list[Process]:
    """The actors of all pools."""
    return [one for one in family if any(actor in one.command for actor in ACTORS)]


def decoders(family: list[Process]) -> list[Process]:
    return [one for one in family if "framemill.platform.child_process import serve" in one.command]
