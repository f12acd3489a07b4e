"""The held-out loss: fixed, independent of the number of ranks, and beside an honest baseline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from framemill.training.curriculum import CurriculumConfig, StageConfig
from framemill.training.data.latent_dataset import LatentDataset
from framemill.training.model import rectified_flow
from framemill.training.run.held_out_loss import HeldOutEvaluation, other_captions

STAGE = StageConfig(resolution=64, frames=17, steps=4, batch_size=4, lr=1e-3)
QUANTILES = [0.1, 0.5, 0.9]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def evaluation(latent_dataset: Callable[..., Path]) -> HeldOutEvaluation:
    dataset = LatentDataset.open(str(latent_dataset("evaluation", 30)))
    rows = dataset.held_out(CurriculumConfig({"only": STAGE}), 0, 0.0, 5)
    return HeldOutEvaluation(dataset, rows, STAGE, QUANTILES, seed=0)


def zero(x: Tensor, *_: Tensor) -> Tensor:
    return torch.zeros_like(x)


def test_any_number_of_ranks_gives_the_same_losses(evaluation: HeldOutEvaluation) -> None:
    alone = evaluation.losses(zero, CPU, 0, 1)
    for workers in (2, 3, 7):
        calls = [0] * workers

        def counted(x: Tensor, *_: Tensor, rank: int = 0, calls: list[int] = calls) -> Tensor:
            calls[rank] += 1
            return torch.zeros_like(x)

        shares = [
            evaluation.losses(lambda *inputs, rank=rank, count=counted: count(*inputs, rank=rank), CPU, rank, workers)
            for rank in range(workers)
        ]
        torch.testing.assert_close(torch.stack(shares).sum(0), alone)
        assert len(set(calls)) == 1, "every rank calls the model equally often"


def test_a_model_that_says_nothing_has_the_targets_power(evaluation: HeldOutEvaluation) -> None:
    summary = evaluation.mean_losses(evaluation.losses(zero, CPU, 0, 1))
    assert summary.loss == summary.other_captions
    assert summary.loss == pytest.approx(2, rel=0.1), "noise and latents of unit variance"
    assert set(summary.by_sigma) == {f"{float(sigma):.2f}" for sigma in evaluation.sigma}
    assert float(evaluation.sigma[1]) == pytest.approx(3 * 0.5 / (1 + 2 * 0.5))


def test_the_linear_baseline_is_what_least_squares_finds(evaluation: HeldOutEvaluation) -> None:
    baseline = evaluation.baseline()
    clips = [evaluation.clip(number) for number in range(len(evaluation.rows))]
    losses = []
    for quantile in range(len(QUANTILES)):
        for channel in range(16):
            pairs = [
                (
                    rectified_flow.interpolate(c.x0, c.noise, c.sigma)[quantile, channel].flatten().double().numpy(),
                    rectified_flow.velocity(c.x0, c.noise)[quantile, channel].flatten().double().numpy(),
                )
                for c in clips
            ]
            weights = np.concatenate([np.full(len(x), len(x) ** -0.5) for x, _ in pairs])  # clips count alike
            design = np.stack([np.concatenate([x for x, _ in pairs]) * weights, weights], -1)
            target = np.concatenate([v for _, v in pairs]) * weights
            solution, *_ = np.linalg.lstsq(design, target, rcond=None)
            losses.append(np.square(design @ solution - target).sum() / len(clips))
    assert baseline.linear_loss == pytest.approx(np.mean(losses), rel=1e-5)
    assert len(baseline.variance) == 16 and np.mean(baseline.variance) == pytest.approx(1, abs=0.5)


def test_captions_are_exchanged_for_different_ones() -> None:
    a, b, c = np.zeros((2, 4)), np.ones((2, 4)), np.ones((3, 4))
    assert other_captions([a, b, c]) == [1, 2, 0]
    assert other_captions([a, a, b]) == [2, 2, 0]
    assert other_captions([a, a]) == [0, 1]


def test_image_to_video_and_images_are_evaluated_where_they_are_trained(evaluation: HeldOutEvaluation) -> None:
    stage = replace(STAGE, image_to_video=0.5, images=0.5, block_frames=2)
    mixed = HeldOutEvaluation(evaluation.dataset, evaluation.rows, stage, QUANTILES, seed=0)
    seen: list[tuple[int, bool, list[int] | None]] = []

    def listen(x: Tensor, timestep: Tensor, text: Tensor, mask: Tensor, blocks: list[int] | None) -> Tensor:
        seen.append((x.shape[2], bool((timestep[:, 0] == 0).all()), blocks))
        return torch.zeros_like(x)

    summary = mixed.mean_losses(mixed.losses(listen, CPU, 0, 1))
    video = (5, False, [0, 3])
    assert seen == [video, video, (5, True, [0, 3]), (1, False, [0])] * len(mixed.rows)
    plain = evaluation.mean_losses(evaluation.losses(zero, CPU, 0, 1))
    assert replace(summary, by_task={}) == plain
    power = torch.zeros(2, dtype=torch.float64)
    for number in range(len(mixed.rows)):
        clip = evaluation.clip(number)
        target = rectified_flow.velocity(clip.x0, clip.noise).double().square()
        power += torch.stack([target[:, :, 1:].mean(), target[:, :, :1].mean()]) / len(mixed.rows)
    assert summary.by_task["image_to_video"] == pytest.approx(float(power[0]))
    assert summary.by_task["images"] == pytest.approx(float(power[1]))
