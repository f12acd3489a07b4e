"""Rectified flow: straight paths from data x0 (sigma 0) to noise (sigma 1), and the timesteps that training samples.

Sigma is the share of noise: x_sigma = (1 - sigma) x0 + sigma noise. The model gets the timestep 1000 sigma, and
predicts the velocity d x_sigma / d sigma = noise - x0. (SANA-Video, section 3; the timestep density is Stable Diffusion
3's.) Each latent frame has its own sigma: one value for all frames of a video, one for each block of a block-causal
video, and 0 for a conditioning frame, such as the first frame of image-to-video. Conditioning frames are not part of
the loss.

Shapes: B batch, C channels, T latent frames, H and W latent rows and columns.
"""

from __future__ import annotations

import torch
from torch import Tensor

_TIMESTEPS = 1000.0
"""Timestep of pure noise (sigma 1)."""
_LEVELS = 1000
"""Steps of the grid from which the sigmas of blocks are sampled."""


def logit_normal_timesteps(generator: torch.Generator, n: int, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Returns n sigmas in (0, 1), the logistic function of normal samples: with mean 0 most are near 0.5."""
    normal = torch.randn(n, generator=generator, device=generator.device)
    return torch.sigmoid(mean + std * normal)


def monotone_levels(generator: torch.Generator, anchor: int, level: int, blocks: int, levels: int) -> Tensor:
    """Returns a uniformly random non-decreasing sequence (blocks,) in range(levels), with `level` at `anchor`.

    The m blocks before the anchor are a non-decreasing sequence in range(level + 1), the blocks after the anchor a
    non-decreasing sequence in range(level, levels). Adding 0, 1, 2, ... to the members of a
    non-decreasing sequence in range(n) makes a subset of range(n + m - 1), and each subset comes from one sequence
    ("stars and bars"); so a uniform subset gives a uniform sequence. AR-Diffusion (Sun et al., 2025) samples from this
    distribution with tables of how many sequences continue from each level.

    Args:
        generator: source of randomness.
        anchor: block whose level is given.
        level: level of the anchor block.
        blocks: number of blocks.
        levels: number of levels.
    """
    before = _never_falling(generator, anchor, level + 1)
    after = _never_falling(generator, blocks - 1 - anchor, levels - level) + level
    return torch.cat((before, torch.tensor([level]), after))


def _never_falling(generator: torch.Generator, m: int, n: int) -> Tensor:
    """Returns a uniformly random non-decreasing sequence of m members of range(n)."""
    subset = torch.randperm(n + m - 1, generator=generator)[:m]
    return subset.sort().values - torch.arange(m)


def block_sigmas(generator: torch.Generator, blocks: int, levels: int = _LEVELS) -> Tensor:
    """Returns sigmas (blocks,) in (0, 1) for a block-causal video: no block has less noise than the previous block.

    SANA-Video's monotonically increasing SNR sampler: a random block takes a logit-normal sigma; the sigmas of the
    other blocks are uniform over all non-decreasing sequences with this sigma.
    """
    anchor = int(torch.randint(blocks, (), generator=generator))
    level = min(int(levels * logit_normal_timesteps(generator, 1)), levels - 1)
    return (monotone_levels(generator, anchor, level, blocks, levels) + 0.5) / levels


def shift_sigma(sigma: Tensor, shift: float) -> Tensor:
    """Returns sigmas after the flow shift: shift sigma / (1 + (shift - 1) sigma).

    A shift above 1 moves sigmas towards noise, which large videos need; a shift of 1 leaves sigmas unchanged.
    """
    return shift * sigma / (1 + (shift - 1) * sigma)


def interpolate(x0: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """Returns the noisy latents (B, C, T, H, W) at sigma (B,), or at (B, T) with a sigma for each frame."""
    sigma = sigma[:, None, :, None, None] if sigma.ndim == 2 else sigma[:, None, None, None, None]
    return (1 - sigma) * x0 + sigma * noise


def velocity(x0: Tensor, noise: Tensor) -> Tensor:
    """Returns the training target noise - x0, which is the same at every sigma of a path."""
    return noise - x0


def sample_losses(predicted: Tensor, target: Tensor, sigma: Tensor) -> Tensor:
    """Returns each sample's mean squared error (B,) over the frames with sigma (B, T) above 0."""
    learned = sigma > 0
    error = (predicted - target).square().mean(dim=(1, 3, 4))
    return (error * learned).sum(1) / learned.sum(1)


def timestep(sigma: Tensor) -> Tensor:
    """Returns sigma as the model's timestep, 0..1000."""
    return _TIMESTEPS * sigma
