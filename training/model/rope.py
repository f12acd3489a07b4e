"""Rotary positions over time, rows and columns (the Wan-style 3D RoPE of SANA-Video).

Shapes: N tokens in the order time, row, column; d width of a head.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

THETA = 10000.0


def axis_dims(head_dim: int) -> tuple[int, int, int]:
    """How many of a head's channels turn with time, row and column: a third each, time taking what is left over."""
    side = 2 * (head_dim // 6)
    return head_dim - 2 * side, side, side


@functools.lru_cache(maxsize=64)
def rotation(grid: tuple[int, int, int], head_dim: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosine and sine of every token's angles, each (N, 1, d/2) float32, for a grid of (frames, rows, columns).

    Pair i of an axis of `dim` channels turns by position * 10000^(-2i/dim). Angles are taken in float64: in float32
    those of late frames lose their last digits. The tables are no buffers of the model, so that casting a model to
    bfloat16 leaves them whole.
    """
    # Tables made under inference_mode could never take part in training; this cache outlives such a block.
    with torch.inference_mode(False):
        parts = []
        for axis, (length, dim) in enumerate(zip(grid, axis_dims(head_dim), strict=True)):
            frequencies = THETA ** (-torch.arange(0, dim, 2, dtype=torch.float64, device="cpu") / dim)
            angles = torch.outer(torch.arange(length, dtype=torch.float64, device="cpu"), frequencies)
            shape = [1, 1, 1, dim // 2]
            shape[axis] = length
            parts.append(angles.view(shape).expand(*grid, -1))
        angles = torch.cat(parts, dim=-1).reshape(-1, 1, head_dim // 2)
        return angles.cos().float().to(device), angles.sin().float().to(device)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turns neighbouring channel pairs of x (B, N, heads, d) by the angles of `rotation`."""
    first, second = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((first * cos - second * sin, first * sin + second * cos), dim=-1).flatten(-2)
