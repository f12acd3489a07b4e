"""Rectified flow: the two ends of the line, the velocity along it, and the density of timesteps."""

import torch

from framemill.training.flow import interpolate, logit_normal_timesteps, shift_sigma, timestep, velocity


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
