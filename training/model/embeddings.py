"""Embeddings of the timestep and the caption.

Shapes: B batch, F timesteps of a sample (1, or one for each latent frame), L text tokens, D width.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SINUSOIDS = 256
"""Width of the sinusoidal embedding of a timestep."""
_MAX_PERIOD = 10000.0
"""Period of the slowest sinusoid over 2 pi, in timesteps."""


def sinusoids(timestep: Tensor) -> Tensor:
    """Returns (..., 256) float32 for timesteps (...) in 0..1000: 128 cosines, then 128 sines, of falling frequency."""
    half = SINUSOIDS // 2
    steps = torch.arange(half, dtype=torch.float32, device=timestep.device)
    angles = timestep.float().unsqueeze(-1) * torch.exp(-math.log(_MAX_PERIOD) / half * steps)
    return torch.cat((angles.cos(), angles.sin()), dim=-1)


class TwoLinears(nn.Module):
    """A linear layer, an activation and a second linear layer."""

    def __init__(self, channels: int, width: int, activation: nn.Module) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(channels, width)
        self.activation = activation
        self.linear_2 = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Returns (..., D) for x (..., channels)."""
        return self.linear_2(self.activation(self.linear_1(x)))


class TimeEmbedding(nn.Module):
    """The timestep's embedding, and the modulation that all blocks share (AdaLN-single)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.emb = nn.ModuleDict({"timestep_embedder": TwoLinears(SINUSOIDS, width, nn.SiLU())})
        self.linear = nn.Linear(width, 6 * width)

    def forward(self, timestep: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the embedding (B, F, D) and the modulation (B, F, 6, D) of timesteps (B, F) in 0..1000."""
        embedding = self.emb["timestep_embedder"](sinusoids(timestep).to(self.linear.weight.dtype))
        return embedding, self.linear(F.silu(embedding)).unflatten(-1, (6, -1))
