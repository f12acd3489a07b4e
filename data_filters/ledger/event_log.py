"""The event log: which process started and finished which item, for people and tests. No decision depends on it."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from framemill.platform import storage

EVENT_LOG = "work/journal.jsonl"
"""Path of the event log in an output."""


def log_event(output: str, **event: Any) -> None:
    """Appends an event as one JSON line to the event log of an output; does nothing for an object store.

    Args:
        output: folder of the dataset.
        event: what happened, as JSON values; the time and the process id are added.
    """
    if storage.is_local(output):
        line = json.dumps({"time": round(time.time(), 3), "pid": os.getpid(), **event}) + "\n"
        with open(storage.local_path(storage.join(output, EVENT_LOG)), "a") as file:
            file.write(line)
