"""Rectified flow: straight lines from data x0 (sigma 0) to noise (sigma 1), and how training picks points on them.

Sigma is the share of noise, x_sigma = (1 - sigma) x0 + sigma noise; the model is told 1000 sigma, and predicts the
velocity d x_sigma / d sigma = noise - x0. (SANA-Video, section 3; the timestep density is Stable Diffusion 3's.)
Each frame has its own sigma: one for all of a video, one for each block of a block-causal video, and 0 for a frame that
is given, as the first of image-to-video is; of such a frame there is nothing to learn, and it is no part of the loss.

Shapes: B batch, C channels, T latent frames, H and W latent rows and columns.
"""

from __future__ import annotations

import torch
from torch import Tensor

TIMESTEPS = 1000.0
LEVELS = 1000
"""Steps of the grid that the sigmas of blocks lie on."""


def logit_normal_timesteps(generator: torch.Generator, n: int, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """n sigmas in (0, 1), the logistic of a normal: most of them where neither data nor noise dominates."""
    normal = torch.randn(n, generator=generator, device=generator.device)
    return torch.sigmoid(mean + std * normal)


def monotone_levels(generator: torch.Generator, anchor: int, level: int, blocks: int, levels: int) -> Tensor:
    """Levels (blocks,) that never fall, uniform over all such sequences in range(levels) with `level` at `anchor`.

    The m blocks before the anchor are a never-falling sequence in range(level + 1), those behind it one in what is left
    above. Adding 0, 1, 2, ... to its members makes such a sequence in range(n) a subset of range(n + m - 1), and each
    subset comes from one sequence ("stars and bars"); so a uniform subset gives a uniform sequence. AR-Diffusion (Sun
    et al., 2025) draws from the same distribution with tables of how many sequences go on from each level.
    """
    before = _never_falling(generator, anchor, level + 1)
    behind = _never_falling(generator, blocks - 1 - anchor, levels - level) + level
    return torch.cat((before, torch.tensor([level]), behind))


def _never_falling(generator: torch.Generator, m: int, n: int) -> Tensor:
    """A uniform never-falling sequence of m members of range(n)."""
    subset = torch.randperm(n + m - 1, generator=generator)[:m]
    return subset.sort().values - torch.arange(m)


def block_sigmas(generator: torch.Generator, blocks: int, levels: int = LEVELS) -> Tensor:
    """Sigmas (blocks,) in (0, 1) of a block-causal video: no block is cleaner than the one before it.

    SANA-Video's monotonically increasing SNR sampler: one block, any of them, takes a logit-normal sigma; the others
    follow, uniform over what the order leaves them.
    """
    anchor = int(torch.randint(blocks, (), generator=generator))
    level = min(int(levels * logit_normal_timesteps(generator, 1)), levels - 1)
    return (monotone_levels(generator, anchor, level, blocks, levels) + 0.5) / levels


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


def losses(predicted: Tensor, target: Tensor, sigma: Tensor) -> Tensor:
    """Each sample's mean squared error (B,) over the frames that are not given: those whose sigma (B, T) is not 0."""
    learned = sigma > 0
    error = (predicted - target).square().mean(dim=(1, 3, 4))
    return (error * learned).sum(1) / learned.sum(1)


def timestep(sigma: Tensor) -> Tensor:
    """Sigma in the unit that the model is told it in."""
    return TIMESTEPS * sigma
