"""A classifier scores the probability of its class, for every layout and activation."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from framemill.data_filters.models.base import ScorableClip
from framemill.data_filters.models.config import ClassifierConfig
from framemill.data_filters.models.registry import load_scorer, model_spec
from tests.support.image_frames import BATCHES, noise, sampled_frames
from tests.support.image_networks import (
    classifier,
    classifier_logits,
)


@pytest.mark.parametrize("name", ["watermark", "unsafe"])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "none"])
@pytest.mark.parametrize(("last", "fixed"), [(False, None), (True, None), (False, 1)])
def test_a_classifier_gives_the_probability_of_its_class(
    tmp_path: Path, name: str, activation: str, last: bool, fixed: int | None
) -> None:
    file = classifier(tmp_path / "net.onnx", batch=fixed, last=last)
    pictures, mean, std = noise(5, 16, 16), [0.5, 0.4, 0.3], [0.2, 0.25, 0.3]
    logits = torch.from_numpy(classifier_logits(pictures, mean, std))
    wanted = {"softmax": logits.softmax(1), "sigmoid": logits.sigmoid(), "none": logits}[activation][:, 2]
    keys = ClassifierConfig(str(file), side=16, mean=mean, std=std, index=2, activation=activation)
    for batch in BATCHES:
        scorer = load_scorer(model_spec(name, keys, "cpu", batch))
        numbers = scorer.score(sampled_frames(pictures)).numbers
        expected = (wanted.mean() if name == "watermark" else wanted.max()).item()
        assert numbers == {name: pytest.approx(expected, abs=1e-5)}


def test_a_classifier_sees_the_corners(tmp_path: Path) -> None:
    keys = ClassifierConfig(str(classifier(tmp_path / "net.onnx")), side=16)
    scorer = load_scorer(model_spec("watermark", keys))
    request = scorer.frame_request(ScorableClip("clip", 0.0, 9, 1920, 1080))
    assert request.arguments[-1] == (16, 16)
