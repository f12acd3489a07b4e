"""Submission to a real Ray head: another process group, an empty folder, its own token."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
from framemill.platform.submit import SubmitConfig, for_cluster
from framemill.platform.vision.video import encode_mp4

START_S = 90.0


@dataclass(frozen=True)
class Head:
    """A running cluster of one node. `token` is the file with its token."""

    address: str
    token: Path
    folder: Path


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def clean_environment(**extra: str) -> dict[str, str]:
    """This environment without anything that points at this checkout, or at another Ray."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "PYTHON", "PYTEST"))}
    return {**kept, "PATH": f"{Path(sys.executable).parent}:{kept['PATH']}", "OMP_NUM_THREADS": "1", **extra}


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    """`ray start --head` as an operator would, in an empty folder, on loopback, with Ray's default: a token."""
    folder = Path(tempfile.mkdtemp(prefix="fm-"))  # short: Ray's sockets live below it
    work, home = folder / "work", folder / "home"
    work.mkdir(), home.mkdir()
    gcs, dashboard, agent, client = free_ports(4)
    command = f"""-m ray.scripts.scripts start --head --block --node-ip-address=127.0.0.1 --port={gcs} --num-cpus=2
        --dashboard-host=127.0.0.1 --dashboard-port={dashboard} --dashboard-agent-listen-port={agent} --temp-dir={folder}/ray
        --ray-client-server-port={client} --object-store-memory=100000000 --include-dashboard=true --disable-usage-stats"""
    process = subprocess.Popen(
        [sys.executable, *command.split()],
        cwd=work,
        env=clean_environment(HOME=str(home)),
        stdout=(folder / "head.log").open("w"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        wait_for(dashboard, process, folder / "head.log")
        yield Head(f"http://127.0.0.1:{dashboard}", home / ".ray" / "auth_token", folder)
    finally:
        stop(process, folder)
        shutil.rmtree(folder, ignore_errors=True)


def wait_for(port: int, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.3)
    pytest.fail(f"the head did not start:\n{log.read_text()[-2000:]}")


def stop(process: subprocess.Popen, folder: Path) -> None:
    """Ends this head and what it started, found by its folder: `ray stop` would end every Ray of the machine."""
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(20)
    for other in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if other.pid != os.getpid() and (str(folder) in " ".join(other.cmdline()) or str(folder) in other.cwd()):
                other.kill()
    process.wait(20)


def submit(head: Head, *words: str, token: bool = True) -> subprocess.CompletedProcess[str]:
    home = head.folder / ("home" if token else "work")
    command = [sys.executable, "-m", "framemill.jobs.cli", "submit", *words, f"cluster.address={head.address}"]
    return subprocess.run(
        command, env=clean_environment(HOME=str(home)), capture_output=True, text=True, timeout=240, check=False
    )


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    ramp = np.broadcast_to(np.arange(64, dtype=np.uint8)[None, None, :, None], (8, 48, 64, 3))
    for name in ("a.mp4", "b.mp4"):
        (folder / name).write_bytes(encode_mp4(ramp, 8))
    return folder


def test_a_job_runs_there_with_the_code_of_the_wheel(head: Head, videos: Path, tmp_path: Path) -> None:
    words = ["evaluate", f"videos={videos}", f"output={tmp_path / 'out'}", "workers=2"]
    first = submit(head, *words)
    print(first.stdout, first.stderr)
    assert first.returncode == 0
    again = submit(head, *words)
    print(again.stdout, again.stderr)
    assert again.returncode == 0
