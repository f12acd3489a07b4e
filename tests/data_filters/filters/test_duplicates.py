"""The scores `duplicates` and `frozen_s` on clips with known repetitions, through a codec."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support.drawn_clips import FPS, HEIGHT, WIDTH, moving_scene, score, through_codec


@pytest.mark.parametrize("crf", [18, 23])
def test_duplicates_are_counted_through_a_codec(tmp_path: Path, crf: int) -> None:
    frames = moving_scene(seconds=3)
    doubled = [frames[i // 2 * 2] for i in range(len(frames))]
    scores = score("duplicates", through_codec(tmp_path, doubled, crf))
    assert scores["duplicates"] == pytest.approx(24 / 47, abs=0.05)
    assert scores["frozen_s"] == pytest.approx(2 / FPS)
    frozen = score("duplicates", through_codec(tmp_path, frames[:12] + [frames[12]] * 20 + frames[13:29], crf))
    assert frozen["duplicates"] == pytest.approx(19 / 47, abs=0.07)
    assert 14 / FPS <= frozen["frozen_s"] <= 20 / FPS, "the codec still refines the first frames of a freeze"


@pytest.mark.parametrize("pace", ["slowly", "quickly"])
def test_what_moves_repeats_nothing(tmp_path: Path, pace: str) -> None:
    assert score("duplicates", through_codec(tmp_path, moving_scene(pace=pace))) == {"duplicates": 0, "frozen_s": 0}
    assert score("duplicates", moving_scene()[:1]) == {"duplicates": 0, "frozen_s": 0}


def test_a_small_thing_that_moves_is_no_freeze() -> None:
    frames = [np.full((HEIGHT, WIDTH, 3), 100, np.uint8) for _ in range(16)]
    for i, frame in enumerate(frames):
        cv2.circle(frame, (20 + 6 * i, 90), 6, (200, 200, 200), -1)
    assert score("duplicates", frames)["duplicates"] == 0
