"""What several tests need: the shared clips where present, and one Ray session for all."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of material that lies beside the checkout; tests that want it are skipped elsewhere."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the shared material is not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def shared_videos(shared: Path) -> Path:
    """The folder of 15 real clips."""
    folder = shared / "videos"
    if not folder.is_dir():
        pytest.skip("the shared clips are not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """One Ray session in this process, for every test that asks for it."""
    from framemill.platform.cluster import session
    from framemill.platform.config import ClusterConfig

    with session(ClusterConfig(), workers=2):
        yield


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A server that speaks S3 on a port of its own, named by the usual environment: the log of its requests."""
    pytest.importorskip("moto", reason="the server comes with the dev extra")
    log = tmp_path_factory.mktemp("s3") / "requests.log"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with log.open("wb") as file:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(command, stdout=file, stderr=file)
    usual = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    try:
        with pytest.MonkeyPatch.context() as environment:
            for name, value in usual.items():
                environment.setenv(name, value)
            deadline = time.monotonic() + 60
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
