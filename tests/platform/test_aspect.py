"""Aspect-ratio classes are those of the published tables."""

import pytest

from framemill.platform.aspect import ASPECTS, aspect_ratio
from framemill.training.buckets import PUBLISHED


@pytest.mark.parametrize(
    ("size", "name"),
    [
        ((1920, 1080), "16:9"),
        ((832, 480), "16:9"),
        ((1080, 1920), "9:16"),
        ((640, 480), "4:3"),
        ((480, 640), "3:4"),
        ((720, 480), "3:2"),
        ((480, 720), "2:3"),
        ((2560, 1080), "2:1"),
        ((512, 512), "1:1"),
        ((300, 900), "1:2"),
    ],
)
def test_a_picture_is_of_the_class_people_would_name(size: tuple[int, int], name: str) -> None:
    assert aspect_ratio(*size) == name


@pytest.mark.parametrize("table", PUBLISHED)
def test_each_published_size_is_of_its_own_row(table: str) -> None:
    assert [aspect_ratio(width, height) for height, width in PUBLISHED[table]] == list(ASPECTS)
