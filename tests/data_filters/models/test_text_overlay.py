"""The share of a frame that text covers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from framemill.data_filters.models.config import TextOverlayConfig
from framemill.data_filters.models.registry import load_scorer, model_spec
from tests.support.image_frames import noise, sampled_frames, subtitled


@pytest.fixture(scope="module")
def text_overlay() -> Any:
    return load_scorer(model_spec("text_overlay", TextOverlayConfig(True), "cpu", 8))


@pytest.mark.parametrize(("height", "width"), [pytest.param(544, 960, marks=pytest.mark.slow), (352, 640)])
def test_text_is_measured_and_nothing_else_is(text_overlay: Any, height: int, width: int) -> None:
    plain = noise(3, height, width) // 2
    written, share = subtitled(plain)
    assert text_overlay.score(sampled_frames(plain)).numbers == {"text_overlay": 0.0}
    overlay = text_overlay.score(sampled_frames(written)).numbers["text_overlay"]
    assert share / 2 < overlay < 2 * share
    half = text_overlay.score(sampled_frames(np.concatenate([written[:2], plain[:2]]))).numbers["text_overlay"]
    two = text_overlay.score(sampled_frames(written[:2])).numbers["text_overlay"]
    assert half == pytest.approx(two / 2), "the mean over frames"
    assert text_overlay.score(sampled_frames(written)).numbers["text_overlay"] == overlay
