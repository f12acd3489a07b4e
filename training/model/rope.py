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


@functools.lru_cache(maxsize=32)
def axis_table(length: int, dim: int, device: torch.device) -> Tensor:
    """Cosine and sine of `length` positions along one axis, (2, length, dim/2) float32.

    Pair i of an axis of `dim` channels turns by position * 10000^(-2i/dim). Angles are taken in float64: in float32
    those of late frames lose their last digits. The tables are no buffers of the model, so that casting a model to
    bfloat16 leaves them whole.
    """
    # A table made under inference_mode could never take part in training; this cache outlives such a block.
    with torch.inference_mode(False):
        frequencies = THETA ** (-torch.arange(0, dim, 2, dtype=torch.float64, device="cpu") / dim)
        angles = torch.outer(torch.arange(length, dtype=torch.float64, device="cpu"), frequencies)
        return torch.stack((angles.cos(), angles.sin())).float().to(device)


def rotation(
    grid: tuple[int, int, int], head_dim: int, longest: int, device: torch.device, first_frame: int = 0
) -> tuple[Tensor, Tensor]:
    """Cosine and sine of every token's angles, each (N, 1, d/2) float32, for a grid of (frames, rows, columns).

    The grid's first frame stands at `first_frame` of the video. Only the axes' tables, of `longest` positions, are
    kept: those of a whole grid would pile up, one for each block of a long video.
    """
    parts = []
    for axis, dim in enumerate(axis_dims(head_dim)):
        first = first_frame if axis == 0 else 0
        shape = [2, 1, 1, 1, dim // 2]
        shape[axis + 1] = grid[axis]
        table = axis_table(longest, dim, device)[:, first : first + grid[axis]]
        parts.append(table.reshape(shape).expand(2, *grid, -1))
    cos, sin = torch.cat(parts, dim=-1).reshape(2, -1, 1, head_dim // 2)
    return cos, sin


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turns neighbouring channel pairs of x (B, N, heads, d) by the angles of `rotation`."""
    first, second = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((first * cos - second * sin, first * sin + second * cos), dim=-1).flatten(-2)
