"""Rectified flow: straight lines from data x0 (sigma 0) to noise (sigma 1), and how training picks points on them.

Sigma is the share of noise, x_sigma = (1 - sigma) x0 + sigma noise; the model is told 1000 sigma, and predicts the
velocity d x_sigma / d sigma = noise - x0. (SANA-Video, section 3; the timestep density is Stable Diffusion 3's.)
"""

from __future__ import annotations

import torch
from torch import Tensor

TIMESTEPS = 1000.0


def logit_normal_timesteps(generator: torch.Generator, n: int, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """n sigmas in (0, 1), the logistic of a normal: most of them where neither data nor noise dominates."""
    normal = torch.randn(n, generator=generator, device=generator.device)
    return torch.sigmoid(mean + std * normal)


def shift_sigma(sigma: Tensor, shift: float) -> Tensor:
    """Moves sigmas towards noise: shift sigma / (1 + (shift - 1) sigma). 1 leaves them; large videos want more."""
    return shift * sigma / (1 + (shift - 1) * sigma)


def interpolate(x0: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """The noisy latents (B, C, T, H, W) at sigma (B,), or (B, T) with one for each frame."""
    sigma = sigma[:, None, :, None, None] if sigma.ndim == 2 else sigma[:, None, None, None, None]
    return (1 - sigma) * x0 + sigma * noise


def velocity(x0: Tensor, noise: Tensor) -> Tensor:
    """What the model learns to predict: the same at every sigma of a line."""
    return noise - x0


def timestep(sigma: Tensor) -> Tensor:
    """Sigma in the unit that the model is told it in."""
    return TIMESTEPS * sigma
