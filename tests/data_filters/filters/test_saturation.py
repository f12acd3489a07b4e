"""The score `saturation` on pictures of known colours."""

import pytest

from framemill.data_filters.filters.registry import load_filter
from tests.support.drawn_clips import stripes


def test_saturation_is_the_mean_of_s() -> None:
    assert load_filter("saturation").score(stripes((255, 0, 0), (128, 128, 128)))["saturation"] == pytest.approx(127.5)
