"""A folder of footage with every kind of source that curation must distinguish, made by the tests."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from framemill.data_filters.config import CurateConfig
from framemill.platform.compose import compose
from framemill.platform.vision.reel import Scene
from tests.support.attack_names import ATTACK_CAPTION, ATTACK_NAMES
from tests.support.curation_output import Configure
from tests.support.footage import shot


@pytest.fixture(scope="session")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good shots, a copy, a broken file, and files that are not videos."""
    folder = tmp_path_factory.mktemp("footage")
    (folder / "deep" / ".hidden").mkdir(parents=True)
    colours = ("red", "green", "blue", "yellow")
    for number, colour in enumerate(colours):
        scene = Scene(colour, "grey", direction=("left", "right", "up", "down")[number])
        (folder / f"shot {number} \u00e9.mp4").write_bytes(shot(scene, seed=10 * number))
    (folder / "shot 0 \u00e9.txt").write_text("A grey disc on red.\n")
    facts = {"prompt": "A disc on green.", "tags": ["disc"], "license": "CC0"}
    (folder / "shot 1 \u00e9.json").write_text(json.dumps(facts))
    whole = shot(Scene("purple", "yellow", pace="quickly"), Scene("green", "blue"), seed=50)
    (folder / "deep" / "two-scenes.mp4").write_bytes(whole)
    (folder / "deep" / "copy.mp4").write_bytes(whole)
    (folder / "deep" / ".hidden" / "unseen.mp4").write_bytes(whole)
    other = shot(Scene("yellow", "purple", "square", pace="quickly"), Scene("red", "grey", "square"), seed=55)
    (folder / "broken.mp4").write_bytes(other[: len(other) * 3 // 4])
    (folder / "static.mp4").write_bytes(shot(Scene("green", "grey", pace="still"), seed=60))
    (folder / "dark.mp4").write_bytes(shot(Scene("blue", "purple", look="dark"), seed=70))
    (folder / "vivid.mp4").write_bytes(shot(Scene("red", "yellow", look="vivid"), seed=80))
    (folder / "short.mp4").write_bytes(shot(Scene("red", "blue"), seed=90, seconds=1.0))
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "words.mp4").write_text("no video at all\n" * 40)
    (folder / "notes.txt").write_text("not a video\n")
    return folder


@pytest.fixture(scope="session")
def configure(tmp_path_factory: pytest.TempPathFactory) -> Configure:
    """Returns a function that builds a curate config from key=value words, with one MLflow file for all tests."""
    record = tmp_path_factory.mktemp("mlflow") / "mlflow.db"

    def make(input: str | os.PathLike[str], output: str | os.PathLike[str], *words: str) -> CurateConfig:
        return compose(
            "curate", CurateConfig, [f"input={input}", f"output={output}", f"tracking.uri=sqlite:///{record}", *words]
        )

    return make


@pytest.fixture(scope="session")
def attacked(footage: Path, configure: Configure, tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> Path:
    """The curated footage, with file names and a caption that attack the programs which show them."""
    from framemill.data_filters.pipeline import curate

    folder, output = tmp_path_factory.mktemp("hostile") / "footage", tmp_path_factory.mktemp("attacked") / "out"
    shutil.copytree(footage, folder)
    for name, original in ATTACK_NAMES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / original).rename(folder / name)
    (folder / "shot 0 \u00e9.txt").write_text(ATTACK_CAPTION)
    curate(configure(folder, output, "workers=2"))
    return output
