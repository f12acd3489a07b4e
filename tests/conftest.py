"""Fixtures for all tests, and the rule that a test which starts Ray has the marker `ray`."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# Tensors of tests are small: threads would only wait for each other, and very long on a busy machine. Before NumPy and
# torch are imported; processes that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# How long an example takes says nothing on a busy machine.
hypothesis.settings.register_profile("framemill", deadline=None)
hypothesis.settings.load_profile("framemill")

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    # `python -m pytest` from the root has it there already; plain `pytest` has not, and child processes take our path.
    sys.path.append(str(ROOT))


def free_port() -> int:
    """A port that nothing listens on, below those that the system gives to clients (Ray takes many of these)."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


S3_ENVIRONMENT = {
    "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}
"""How every process of this run finds the S3 server; set from the start, since Ray's workers inherit it."""
RAY_FOLDER = pytest.StashKey[Path]()
"""Where every Ray session of this run has its folder: those of subprocesses too, which inherit RAY_TMPDIR."""
RAY_SESSIONS = pytest.StashKey[set[str]]()
"""Names of the Ray sessions that have been seen so far."""


def pytest_configure(config: pytest.Config) -> None:
    """Gives the Ray sessions of this run a folder of their own; a short path, since Ray's sockets are below it."""
    config.stash[RAY_FOLDER] = Path(tempfile.mkdtemp(prefix="fm-"))
    config.stash[RAY_SESSIONS] = set()
    os.environ.update(S3_ENVIRONMENT, RAY_TMPDIR=str(config.stash[RAY_FOLDER]))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Removes the logs and sockets of this run's Ray sessions."""
    shutil.rmtree(config.stash[RAY_FOLDER], ignore_errors=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks every test that uses the shared Ray session with `ray`; one that starts Ray otherwise says so itself."""
    for item in items:
        if "ray_session" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.ray)


@pytest.fixture(autouse=True)
def ray_is_marked(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test without the marker `ray` that started Ray, here or in a subprocess."""
    yield
    known = request.config.stash[RAY_SESSIONS]
    sessions = {folder.name for folder in request.config.stash[RAY_FOLDER].glob("ray/session_[0-9]*")}
    started = sessions - known
    known |= sessions
    assert not started or request.node.get_closest_marker("ray"), "this test starts Ray: mark it with pytest.mark.ray"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of material next to the checkout; tests that need it are skipped where it is absent."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the shared material is not next to this checkout")
    return folder


@pytest.fixture(scope="session")
def shared_videos(shared: Path) -> Path:
    """The folder of 15 real clips."""
    folder = shared / "videos"
    if not folder.is_dir():
        pytest.skip("the shared clips are not next to this checkout")
    return folder


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """One Ray session in this process, for every test that asks for it; jobs that are called in-process join it."""
    from framemill.platform.cluster import session
    from framemill.platform.config import ClusterConfig

    with session(ClusterConfig(), workers=2):
        yield


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A server that speaks S3, to which the usual environment variables point; the path of its request log."""
    from tests.support.console import START_S

    pytest.importorskip("moto", reason="the server comes with the dev extra")
    log = tmp_path_factory.mktemp("s3") / "requests.log"
    port = int(S3_ENVIRONMENT["AWS_ENDPOINT_URL"].rpartition(":")[2])
    with log.open("wb") as file:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        deadline = time.monotonic() + START_S
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield log
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def bucket(s3: Path) -> str:
    """The URI of a fresh bucket."""
    from fsspec.core import url_to_fs

    name = f"bucket-{os.urandom(6).hex()}"
    url_to_fs(f"s3://{name}", use_listings_cache=False)[0].mkdir(name)
    return f"s3://{name}"
