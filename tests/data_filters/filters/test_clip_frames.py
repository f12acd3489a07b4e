"""The frames that filters take from a clip."""

import numpy as np
import pytest

from framemill.data_filters.filters.clip_frames import ClipFrames


def test_samples_are_the_frames_nearest_to_each_half_second() -> None:
    clip = ClipFrames(np.array([10.0, 10.2, 10.45, 10.9, 11.1]), [np.zeros((2, 2, 3), np.uint8)] * 5, 11.3, 0, 2, 2)
    assert clip.every(0.5) == [0, 2, 3]
    assert clip.seconds == pytest.approx(1.3)
