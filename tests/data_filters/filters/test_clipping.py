"""The scores `clipped_dark` and `clipped_bright` against drawn pixels that can be counted."""

import numpy as np
import pytest

from tests.support.drawn_clips import HEIGHT, WIDTH, moving_scene, score, with_bars


def test_clipping_counts_the_pixels_without_detail() -> None:
    frame = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    frame[:, 100:180] = 5
    frame[:, -32:] = 250
    assert score("clipping", [frame] * 9) == pytest.approx({"clipped_dark": 0.25, "clipped_bright": 0.1})
    assert score("clipping", with_bars(moving_scene(), 30, 0)) == pytest.approx(
        score("clipping", moving_scene()), abs=0.02
    )
