"""Submission to a real Ray head: another process group, an empty folder, its own token."""

import contextlib
import json
import os
import re
import secrets
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

from framemill.eval.config import EvaluateConfig
from framemill.platform.config import ClusterConfig
from framemill.platform.errors import RequestError
from framemill.platform.submit import SubmitConfig, config_for_cluster, print_new_text
from framemill.platform.vision.video import encode_mp4
from framemill.platform.wheel import unpack_code
from tests.support.console import JOB_S, START_S

Run = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Head:
    """A running cluster of one node, all in one folder: `home` has its token, `work` nothing, `ray` Ray's own files."""

    address: str
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
    """`ray start --head` as an operator would, in an empty folder, on loopback, with token authentication.

    Ray turns that on by itself where the user has a token, which is after the first `ray.init()` of theirs.
    """
    folder = Path(tempfile.mkdtemp(prefix="fm-"))  # short: Ray's sockets live below it
    work, token = folder / "work", folder / "home" / ".ray" / "auth_token"
    work.mkdir()
    token.parent.mkdir(parents=True)
    token.write_text(secrets.token_hex(32))
    gcs, dashboard, agent, client = free_ports(4)
    command = f"""-m ray.scripts.scripts start --head --block --num-cpus=2 --object-store-memory=100000000
        --node-ip-address=127.0.0.1 --port={gcs} --ray-client-server-port={client} --dashboard-host=127.0.0.1
        --dashboard-port={dashboard} --dashboard-agent-listen-port={agent} --temp-dir={folder}/ray
        --include-dashboard=true --disable-usage-stats"""
    process = subprocess.Popen(
        [sys.executable, *command.split()],
        cwd=work,
        env=clean_environment(HOME=str(folder / "home")),
        stdout=(folder / "head.log").open("w"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        wait_for(dashboard, process, folder / "head.log")
        yield Head(f"http://127.0.0.1:{dashboard}", folder)
    finally:
        stop(process, folder)
        shutil.rmtree(folder, ignore_errors=True)


def make_videos(folder: Path, sound: int = 0, broken: int = 0) -> None:
    """Small videos: a bright square that moves over noise, or files that are none."""
    folder.mkdir()
    frames = np.random.default_rng(0).integers(60, 190, (24, 96, 160, 3), dtype=np.uint8)
    for t, frame in enumerate(frames):
        frame[30:70, 4 * t : 4 * t + 40] = (250, 120, 30)
    for number in range(sound):
        (folder / f"sound{number}.mp4").write_bytes(encode_mp4(frames, 12))
    for number in range(broken):
        (folder / f"broken{number}.mp4").write_bytes(b"no video %d" % number)


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
        process.wait(5)
    for other in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if other.pid != os.getpid() and (str(folder) in " ".join(other.cmdline()) or str(folder) in other.cwd()):
                other.kill()
    process.wait(START_S)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Framemill as a release installs it: the files of its wheel on a path."""
    folder = tmp_path_factory.mktemp("release")
    unpack_code(folder)
    return folder


def submit(head: Head, *words: str, cwd: Path, code: Path | None = None, token: bool = True) -> Run:
    """`framemill submit` in another process, from the checkout or from the `code` of a release."""
    where = {"HOME": str(head.folder / ("home" if token else "work"))} | ({"PYTHONPATH": str(code)} if code else {})
    command = [sys.executable, "-m", "framemill.jobs.cli", "submit", *words, f"cluster.address={head.address}"]
    done = subprocess.run(
        command, cwd=cwd, env=clean_environment(**where), capture_output=True, text=True, timeout=JOB_S, check=False
    )
    print(done.stdout, done.stderr)
    return done


@pytest.mark.ray
def test_the_code_comes_as_a_wheel(head: Head, tmp_path: Path) -> None:
    """The doctor says there where it runs from: a folder of Ray's, not this checkout."""
    done = submit(head, "doctor", cwd=tmp_path)
    assert done.returncode in (0, 1)
    assert f"exit status {done.returncode}" in done.stdout or done.returncode == 0
    (home,) = re.findall(r"framemill +\S+ from (\S+)", done.stdout)
    assert home.startswith(str(head.folder / "ray")) and "/runtime_resources/working_dir_files/" in home


@pytest.mark.ray
@pytest.mark.slow
def test_a_curation_that_succeeds(head: Head, release: Path, tmp_path: Path) -> None:
    make_videos(tmp_path / "videos", sound=1)
    words = ["curate", "input=videos", "output=out", "workers=1", "clip.min_seconds=0"]
    first = submit(head, *words, cwd=tmp_path, code=release)
    assert first.returncode == 0
    assert len(re.findall(r"^curate: kept", first.stdout, re.MULTILINE)) == 1
    assert json.loads((tmp_path / "out" / "index.json").read_text())

    # The same again attaches: the log is told once more, the work is not done once more.
    written = (tmp_path / "out" / "index.json").stat().st_mtime_ns
    again = submit(head, *words, cwd=tmp_path, code=release)
    assert again.returncode == 0
    assert "is there already (succeeded)" in again.stdout
    assert re.findall(r"^curate: kept.*", again.stdout, re.MULTILINE) == re.findall(
        r"^curate: kept.*", first.stdout, re.MULTILINE
    )
    assert (tmp_path / "out" / "index.json").stat().st_mtime_ns == written


@pytest.mark.ray
def test_a_curation_that_fails(head: Head, release: Path, tmp_path: Path) -> None:
    make_videos(tmp_path / "videos", broken=2)
    words = ["curate", "input=videos", "output=out", "workers=1", "max_failed=0.5"]
    done = submit(head, *words, cwd=tmp_path, code=release)
    assert done.returncode == 1
    assert "failed with exit status 1" in done.stdout


@pytest.mark.ray
def test_a_wrong_request_found_out_there_and_tried_again(head: Head, release: Path, tmp_path: Path) -> None:
    first = submit(head, "score", "results=absent.json", cwd=tmp_path, code=release)
    assert first.returncode == 2
    assert f"framemill: results={tmp_path}/absent.json: no such file" in first.stdout
    (name,) = re.findall(r"submit: (score-[0-9a-f]{10}) started", first.stdout)
    again = submit(head, "score", "results=absent.json", cwd=tmp_path, code=release)
    assert again.returncode == 2
    assert f"submit: {name}-2 started" in again.stdout


@pytest.mark.ray
def test_without_the_token_one_line_says_so(head: Head, tmp_path: Path) -> None:
    done = submit(head, "score", "results=x", cwd=tmp_path, token=False)
    assert done.returncode == 2
    assert done.stderr.startswith("framemill: cluster.address=") and "token" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_paths_are_made_absolute_and_the_cluster_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = EvaluateConfig(videos="videos", output="s3://bucket/out", cluster=ClusterConfig("http://127.0.0.1:8265"))
    there = config_for_cluster(config)
    assert there.videos == str(tmp_path / "videos")
    assert there.output == "s3://bucket/out"
    assert there.prompts_json == ""
    assert there.cluster.address == "auto"
    assert config.videos == "videos" and config.cluster.address.startswith("http")


def test_only_an_address_of_the_job_api_is_taken() -> None:
    for address in ("", "auto", "127.0.0.1:6379", "ray://127.0.0.1:10001"):
        with pytest.raises(RequestError, match=r"cluster\.address"):
            SubmitConfig(job="curate", cluster=ClusterConfig(address)).validate()


def test_a_log_that_starts_again_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    log = "one\ntwo\nthree\n"
    printed = print_new_text("one\ntw", 6, 0)
    for end in (4, 8):  # the stream, opened again, in other pieces
        printed = print_new_text(log[end - 4 : end], end, printed)
    print_new_text(log, len(log), printed)
    assert capsys.readouterr().out == log
