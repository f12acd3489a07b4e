"""Rectified flow: the two ends of the line, the velocity along it, the density of timesteps, and what counts."""

from collections import Counter
from fractions import Fraction
from itertools import combinations_with_replacement, pairwise

import pytest
import torch

from framemill.training.model.rectified_flow import (
    block_sigmas,
    interpolate,
    logit_normal_timesteps,
    monotone_levels,
    sample_losses,
    shift_sigma,
    timestep,
    velocity,
)


def test_line_from_data_to_noise() -> None:
    x0, noise = torch.randn(2, 2, 4, 3, 2, 2).unbind(0)
    assert torch.equal(interpolate(x0, noise, torch.zeros(2)), x0)
    assert torch.equal(interpolate(x0, noise, torch.ones(2)), noise)
    low, high = torch.tensor([0.2, 0.5]), torch.tensor([0.3, 0.6])
    slope = (interpolate(x0, noise, high) - interpolate(x0, noise, low)) / 0.1
    torch.testing.assert_close(slope, velocity(x0, noise), atol=1e-4, rtol=1e-4)


def test_sigma_of_frames() -> None:
    x0, noise = torch.randn(2, 2, 4, 3, 2, 2).unbind(0)
    sigma = torch.tensor([[0.0, 0.5, 1.0], [1.0, 0.0, 0.5]])
    mixed = interpolate(x0, noise, sigma)
    assert torch.equal(mixed[0, :, 0], x0[0, :, 0])
    assert torch.equal(mixed[1, :, 0], noise[1, :, 0])
    assert torch.equal(interpolate(x0, noise, sigma[:, :1].expand(-1, 3)), interpolate(x0, noise, sigma[:, 0]))


def test_logit_normal_density() -> None:
    sigma = logit_normal_timesteps(torch.Generator().manual_seed(0), 20000)
    assert sigma.min() > 0 and sigma.max() < 1
    logits = torch.logit(sigma.double())
    assert abs(logits.mean()) < 0.03 and abs(logits.std() - 1) < 0.03
    assert torch.equal(sigma, logit_normal_timesteps(torch.Generator().manual_seed(0), 20000))


def test_shift() -> None:
    sigma = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])
    torch.testing.assert_close(shift_sigma(sigma, 1.0), sigma)
    # the steps of the few-step SANA-Video models: 1000, 960, 889, 727, 0
    assert timestep(shift_sigma(sigma, 8.0)).round().tolist() == [0, 727, 889, 960, 1000]


def never_falling(blocks: int, levels: int) -> list[tuple[int, ...]]:
    return list(combinations_with_replacement(range(levels), blocks))


def chi_square(observed: Counter, expected: dict[tuple[int, ...], float]) -> float:
    return sum((observed[key] - count) ** 2 / count for key, count in expected.items())


@pytest.mark.parametrize(("blocks", "levels"), [(3, 4), (4, 3)])
def test_blocks_follow_an_anchor_uniformly_over_all_monotone_sequences(blocks: int, levels: int) -> None:
    """Every sequence that the anchor leaves is drawn, no other, and all equally often (to 4 standard deviations)."""
    generator = torch.Generator().manual_seed(0)
    for anchor in range(blocks):
        for level in range(levels):
            allowed = [sequence for sequence in never_falling(blocks, levels) if sequence[anchor] == level]
            draws = 200 * len(allowed)
            observed = Counter(
                tuple(monotone_levels(generator, anchor, level, blocks, levels).tolist()) for _ in range(draws)
            )
            assert set(observed) == set(allowed)
            freedom = len(allowed) - 1
            bound = freedom + 4 * (2 * freedom) ** 0.5
            assert chi_square(observed, dict.fromkeys(allowed, 200)) <= bound


def table_probability(sequence: tuple[int, ...], anchor: int, levels: int) -> Fraction:
    """AR-Diffusion's own procedure, block by block away from the anchor, weighted by how many ways each level leaves.

    ending[f][t] counts the never-falling sequences of f + 1 members that end with t; beginning[f][t] those that begin
    with t and have f + 1 members.
    """
    ending = [[1] * levels]
    beginning = [[1] * levels]
    for _ in sequence:
        ending.append([sum(ending[-1][: t + 1]) for t in range(levels)])
        beginning.append([sum(beginning[-1][t:]) for t in range(levels)])
    chance = Fraction(1)
    for block in range(anchor - 1, -1, -1):
        weights = ending[block][: sequence[block + 1] + 1]
        chance *= Fraction(weights[sequence[block]], sum(weights))
    for block in range(anchor + 1, len(sequence)):
        weights = beginning[len(sequence) - 1 - block]
        chance *= Fraction(weights[sequence[block]], sum(weights[sequence[block - 1] :]))
    return chance


def test_the_tables_of_ar_diffusion_give_the_same_uniform_distribution() -> None:
    for blocks, levels in ((3, 4), (4, 3), (2, 6)):
        for anchor in range(blocks):
            for level in range(levels):
                allowed = [sequence for sequence in never_falling(blocks, levels) if sequence[anchor] == level]
                chances = {table_probability(sequence, anchor, levels) for sequence in allowed}
                assert chances == {Fraction(1, len(allowed))}


def test_block_sigmas_have_the_mixture_distribution_over_anchors() -> None:
    """P(sequence) = mean over anchors of P(logit-normal falls into its level) / sequences with that level there."""
    blocks, levels, draws = 3, 4, 20000
    edges = torch.special.ndtr(torch.logit(torch.linspace(0, 1, levels + 1, dtype=torch.float64)))
    mass = (edges[1:] - edges[:-1]).tolist()
    sequences = never_falling(blocks, levels)
    share = {(a, s[a]): sum(other[a] == s[a] for other in sequences) for a in range(blocks) for s in sequences}
    expected = {s: draws * sum(mass[s[a]] / share[a, s[a]] for a in range(blocks)) / blocks for s in sequences}
    assert sum(expected.values()) == pytest.approx(draws)
    generator = torch.Generator().manual_seed(1)
    observed = Counter(
        tuple((block_sigmas(generator, blocks, levels) * levels - 0.5).round().int().tolist()) for _ in range(draws)
    )
    freedom = len(sequences) - 1
    assert set(observed) <= set(sequences)
    assert chi_square(observed, expected) <= freedom + 4 * (2 * freedom) ** 0.5


def test_sigmas_of_many_blocks_rise_within_the_open_interval() -> None:
    for seed in range(50):
        sigma = block_sigmas(torch.Generator().manual_seed(seed), 26)
        assert all(before <= behind for before, behind in pairwise(sigma.tolist()))
        assert sigma.min() > 0 and sigma.max() < 1
        assert torch.equal(sigma, block_sigmas(torch.Generator().manual_seed(seed), 26))


def test_given_frames_are_no_part_of_the_loss() -> None:
    predicted, target = torch.randn(2, 2, 4, 3, 2, 2).unbind(0)
    sigma = torch.tensor([[0.0, 0.5, 0.7], [0.3, 0.3, 0.3]])
    losses_by_sample = sample_losses(predicted, target, sigma)
    error = (predicted - target).square()
    torch.testing.assert_close(losses_by_sample, torch.stack([error[0, :, 1:].mean(), error[1].mean()]))
    spoilt = predicted.clone()
    spoilt[0, :, 0] += 9
    assert torch.equal(sample_losses(spoilt, target, sigma), losses_by_sample)
