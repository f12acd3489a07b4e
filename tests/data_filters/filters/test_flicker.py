"""The score `flicker` against a known amplitude; fades, cuts and movement have none."""

import numpy as np
import pytest

from tests.support.drawn_clips import HEIGHT, WIDTH, moving_scene, score


def brighter(frames: list[np.ndarray], by: np.ndarray) -> list[np.ndarray]:
    return [
        np.clip(frame.astype(int) + round(float(b)), 0, 255).astype(np.uint8)
        for frame, b in zip(frames, by, strict=True)
    ]


def test_flicker_is_twice_the_amplitude() -> None:
    picture = [np.full((HEIGHT, WIDTH, 3), 120, np.uint8)] * 32
    assert score("flicker", brighter(picture, 5 * (-1) ** np.arange(32)))["flicker"] == pytest.approx(10)
    over_movement = score("flicker", brighter(moving_scene(), 5 * (-1) ** np.arange(32)))["flicker"]
    assert over_movement == pytest.approx(10, rel=0.2)


def test_fades_cuts_and_movement_do_not_flicker() -> None:
    frames = moving_scene(pace="quickly")
    assert score("flicker", frames)["flicker"] < 0.5
    assert score("flicker", brighter(moving_scene(pace="still"), np.linspace(-60, 60, 32)))["flicker"] < 0.1
    assert score("flicker", brighter(moving_scene(pace="still"), np.repeat([0, 60], 16)))["flicker"] < 0.1
    assert score("flicker", frames[:2])["flicker"] == score("flicker", frames[:1])["flicker"] == 0
