"""The score `black_bars` on drawn bars, and on dark pictures that have none."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.drawn_clips import HEIGHT, WIDTH, moving_scene, score, through_codec, with_bars


@pytest.mark.parametrize(("above", "beside", "level"), [(22, 0, 0), (0, 40, 0), (20, 30, 0), (8, 0, 16), (0, 0, 0)])
def test_black_bars_are_measured_through_a_codec(tmp_path: Path, above: int, beside: int, level: int) -> None:
    frames = through_codec(tmp_path, with_bars(moving_scene(), above, beside, level), crf=28)
    expected = 1 - (HEIGHT - 2 * above) * (WIDTH - 2 * beside) / (HEIGHT * WIDTH)
    assert score("black_bars", frames)["black_bars"] == pytest.approx(expected, abs=0.025)


def night(seconds: float = 2.0) -> list[np.ndarray]:
    """Lights moving in the dark middle of a picture that fades out to all sides."""
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    shade = np.clip(1.1 - np.hypot(x, y), 0, 1)[..., None] ** 2
    return [(frame * shade * 0.6).astype(np.uint8) for frame in moving_scene(2, seconds)]


def test_a_dark_scene_is_not_called_bars(tmp_path: Path) -> None:
    assert score("black_bars", through_codec(tmp_path, night()))["black_bars"] == 0
    assert score("black_bars", [np.zeros((HEIGHT, WIDTH, 3), np.uint8)] * 9)["black_bars"] == 0
    skyline = [frame.copy() for frame in moving_scene()]
    for frame in skyline:
        for left in range(0, WIDTH, 40):
            frame[: 60 + left % 120, left : left + 40] = 4
    assert score("black_bars", skyline)["black_bars"] == 0


def test_what_is_dark_for_a_while_only_is_no_bar() -> None:
    frames = moving_scene()
    for frame in frames[: len(frames) // 2]:
        frame[:30] = frame[-30:] = 0
    assert score("black_bars", frames)["black_bars"] == 0
