"""What several tests need: the shared clips where present, and one Ray session for all."""

from __future__ import annotations

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
