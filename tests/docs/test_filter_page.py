"""docs/filter.md does what it says: its blocks, followed in a copy of the tree, filter a green screen out."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from framemill.platform.vision.reel import Scene
from framemill.platform.vision.video import encode_mp4
from tests.support.console import JOB_S
from tests.support.footage import shot

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)

ENTRIES = 'FILTERS = Registry(\n    "filters",\n    {\n'


def studio() -> Iterator[np.ndarray]:
    """A grey square a quarter of the picture in size, moving about before a green screen."""
    for i in range(40):
        picture = np.full((180, 320, 3), (0, 190, 40), np.uint8)
        picture[30:120, 2 * i : 2 * i + 160] = 128
        yield picture


@pytest.mark.ray
def test_the_page_adds_a_filter(tmp_path: Path) -> None:
    measure, name, bound = BLOCK.findall((ROOT / "docs" / "filter.md").read_text())
    assert len([line for line in measure.splitlines() if line]) <= 30
    for folder in ("platform", "data_filters", "conf"):
        shutil.copytree(ROOT / folder, tmp_path / "framemill" / folder, ignore=shutil.ignore_patterns("__pycache__"))
    filters = tmp_path / "framemill" / "data_filters" / "filters"
    (filters / "green_screen.py").write_text(measure)
    registry = (filters / "registry.py").read_text()
    assert ENTRIES in registry
    (filters / "registry.py").write_text(registry.replace(ENTRIES, ENTRIES + name))

    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "street.mp4").write_bytes(shot(Scene("red", "blue")))
    (tmp_path / "videos" / "studio.mp4").write_bytes(encode_mp4(studio(), 16))
    run = subprocess.run(
        [sys.executable, "-c", bound],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=JOB_S,
    )
    assert run.returncode == 0, run.stderr
    assert "{'green_screen above 0.2': 1}" in run.stdout
    rows = {row["path"]: row for row in pq.read_table(tmp_path / "dataset/ledger/clips.parquet").to_pylist()}
    assert rows["street.mp4"]["state"] == "kept" and rows["street.mp4"]["green_screen"] < 0.01
    assert rows["studio.mp4"]["state"] == "filtered" and abs(rows["studio.mp4"]["green_screen"] - 0.75) < 0.03
