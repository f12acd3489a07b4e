"""Progress of long work: a bar on a terminal, or a line every LINE_EVERY_S seconds elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator

LINE_EVERY_S = 10.0
"""Seconds between two lines of progress."""


def say(text: str) -> None:
    """Prints a line on standard output and flushes it."""
    print(text, flush=True)


class Progress:
    """Counts done items and prints a line every `LINE_EVERY_S` seconds; `advance` is cheap enough for every item.

    Args:
        label: name of the work.
        total: number of items.
        unit: plural noun for the items.
    """

    def __init__(self, label: str, total: int, unit: str) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done = 0
        self.note = ""
        self.started = self._last_line = time.monotonic()

    def advance(self, count: int = 1, note: str = "") -> None:
        """Counts items as done.

        Args:
            count: number of items.
            note: text that is shown until the next call or the end.
        """
        self.done += count
        self.note = note if self.done < self.total else ""
        if self.done < self.total and time.monotonic() - self._last_line >= LINE_EVERY_S:
            self._last_line = time.monotonic()
            say(self.line())

    def line(self) -> str:
        """Returns a line with the number of done items, the total and the elapsed seconds."""
        elapsed = time.monotonic() - self.started
        note = f" ({self.note})" if self.note else ""
        return f"{self.label}: {self.done}/{self.total} {self.unit}, {elapsed:.0f} s{note}"

    def close(self) -> None:
        """Prints the last line."""
        say(self.line())


class BarProgress(Progress):
    """Shows the count as a bar that redraws itself."""

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
        """Counts items as done and redraws the bar."""
        self.done += count
        self._bar.update(self._task, advance=count, note=note)

    def close(self) -> None:
        """Stops the bar."""
        self._bar.stop()


@contextlib.contextmanager
def progress(label: str, total: int, unit: str = "items") -> Iterator[Progress]:
    """Shows the progress of the work in the block: a bar on a terminal, lines elsewhere."""
    bar = BarProgress(label, total, unit) if sys.stdout.isatty() else Progress(label, total, unit)
    try:
        yield bar
    finally:
        bar.close()
