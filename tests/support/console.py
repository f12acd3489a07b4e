"""The console command in a process of its own, for what needs one: to be killed, or an environment that is different.

All other tests call `framemill.jobs.cli.main` in their own process, which joins the Ray session that is there.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

START_S = 300.0
"""Patience for a server, Ray or a job to start: a busy machine is many times slower than a fast one."""
JOB_S = 900.0
"""Patience for a whole small job."""


def command(*words: str) -> list[str]:
    """The command line of `framemill` with these words, run by this Python from these sources."""
    return [sys.executable, "-m", "framemill.jobs.cli", *words]


def run_job(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a job to its end, its output captured as text."""
    return subprocess.run(command(*words), cwd=cwd, capture_output=True, text=True, timeout=JOB_S, check=False)


def kill_job_when(
    words: list[str],
    due: Callable[[], bool],
    environment: Mapping[str, str] | None = None,
    before_kill: Callable[[], None] = lambda: None,
) -> None:
    """Starts a job and kills it with SIGKILL once `due()` is true, asked every few milliseconds.

    Raises:
        AssertionError: the job ended before that, or it took longer than JOB_S.
    """
    driver = subprocess.Popen(
        command(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment or os.environ
    )
    try:
        deadline = time.monotonic() + JOB_S
        while not due():
            assert driver.poll() is None, f"the job ended with status {driver.returncode} before it could be killed"
            assert time.monotonic() < deadline, f"the moment of the kill did not come within {JOB_S:g} s"
            time.sleep(0.005)
        before_kill()
    finally:
        driver.kill()
        driver.wait()
