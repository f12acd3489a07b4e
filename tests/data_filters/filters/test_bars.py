"""The bars of a clip are found though a logo or a night sky hides their edge."""

from pathlib import Path

import cv2

from framemill.data_filters.filters.bars import Bars
from tests.support.drawn_clips import WIDTH, clip_of, moving_scene, through_codec, with_bars


def test_a_logo_and_a_night_sky_do_not_hide_bars(tmp_path: Path) -> None:
    frames = with_bars(moving_scene(), 24, 0)
    for frame in frames:
        cv2.putText(frame, "LOGO", (250, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255))
        for left in range(0, WIDTH, 40):
            frame[24 : 50 + left % 120, left : left + 40] = 3
    assert clip_of(through_codec(tmp_path, frames)).bars == Bars(24, 24, 0, 0)
