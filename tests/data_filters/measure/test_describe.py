"""The sentence that describes a clip, from measured facts alone."""

import numpy as np
import pytest

from framemill.data_filters.measure.describe import describe, dominant_colour, movement
from tests.support.drawn_clips import stripes


@pytest.mark.parametrize(
    ("colour", "name"),
    [
        ((220, 30, 30), "red"),
        ((240, 150, 20), "orange"),
        ((120, 70, 20), "brown"),
        ((240, 230, 40), "yellow"),
        ((40, 160, 60), "green"),
        ((40, 170, 180), "teal"),
        ((40, 70, 220), "blue"),
        ((140, 60, 200), "purple"),
        ((240, 60, 180), "pink"),
        ((128, 128, 128), "grey"),
        ((250, 250, 250), "white"),
        ((5, 5, 5), "black"),
    ],
)
def test_colours_have_their_names(colour: tuple[int, int, int], name: str) -> None:
    assert dominant_colour(np.full((8, 8, 3), colour, np.uint8)) == name


def test_a_description_says_what_there_is() -> None:
    motion = {"motion": 30.0, "motion_x": -28.0, "motion_y": 3.0, "sharpness": 0.9}
    assert describe(stripes((40, 70, 220), (40, 160, 60)), motion) == (
        "A softly lit, finely detailed wide picture, blue above and green below; it moves steadily to the left."
    )
    assert movement({"motion": 30.0, "motion_x": 2.0, "motion_y": -25.0}) == "moves steadily up"
    assert movement({"motion": 30.0, "motion_x": 2.0, "motion_y": -3.0}) == "moves steadily"
    assert movement({"motion": 0.1, "motion_x": 0.1, "motion_y": 0.0}) == "stays still"
