"""Progress of long work: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator

LINE_EVERY_S = 10.0


def say(text: str) -> None:
    """One plain line on standard output, at once."""
    print(text, flush=True)


class Progress:
    """A count towards a total. `advance` is cheap enough to call for every item."""

    def __init__(self, label: str, total: int, unit: str) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done = 0
        self.note = ""
        self.started = self._last_line = time.monotonic()

    def advance(self, count: int = 1, note: str = "") -> None:
        self.done += count
        self.note = note
        if self.done < self.total and time.monotonic() - self._last_line >= LINE_EVERY_S:
            self._last_line = time.monotonic()
            say(self.line())

    def line(self) -> str:
        elapsed = time.monotonic() - self.started
        note = f" ({self.note})" if self.note else ""
        return f"{self.label}: {self.done}/{self.total} {self.unit}, {elapsed:.0f} s{note}"

    def close(self) -> None:
        say(self.line())


class BarProgress(Progress):
    """The same count as a bar that redraws itself."""

    def __init__(self, label: str, total: int, unit: str) -> None:
        super().__init__(label, total, unit)
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        self._bar = RichProgress(*columns)
        self._task = self._bar.add_task(label, total=total, note="")
        self._bar.start()

    def advance(self, count: int = 1, note: str = "") -> None:
        self.done += count
        self._bar.update(self._task, advance=count, note=note)

    def close(self) -> None:
        self._bar.stop()


@contextlib.contextmanager
def progress(label: str, total: int, unit: str = "items") -> Iterator[Progress]:
    """Shows how far a piece of work is for as long as the block runs."""
    bar = BarProgress(label, total, unit) if sys.stdout.isatty() else Progress(label, total, unit)
    try:
        yield bar
    finally:
        bar.close()
