"""Peak memory of the decode pass over one file; called in a child process of its own."""

from __future__ import annotations

import re
from pathlib import Path

from framemill.data_filters.filters.registry import FILTERS
from framemill.data_filters.measure.decode_pass import measure_source
from framemill.data_filters.measure.messages import MeasureSettings


def peak_kib(path: str) -> int:
    """Highest resident size of this process, KiB, once the file has been measured.

    From /proc: `getrusage` starts a child's figure at its parent's.
    """
    for _ in measure_source(path, MeasureSettings(2.0, 10.0, tuple(FILTERS))):
        pass
    return int(re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[0])
