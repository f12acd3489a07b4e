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
    """Cosine and sine of `length` positions along one axis, (length, dim/2, 2) float32.

    Pair i of an axis of `dim` channels turns by position * 10000^(-2i/dim). Angles are taken in float64: in float32
    those of late frames lose their last digits. The tables are no buffers of the model, so that casting a model to
    bfloat16 leaves them whole.
    """
    # A table made under inference_mode could never take part in training; this cache outlives such a block.
    with torch.inference_mode(False):
        frequencies = THETA ** (-torch.arange(0, dim, 2, dtype=torch.float64, device="cpu") / dim)
        angles = torch.outer(torch.arange(length, dtype=torch.float64, device="cpu"), frequencies)
        return torch.stack((angles.cos(), angles.sin()), dim=-1).float().to(device)


def rotation(
    grid: tuple[int, int, int], head_dim: int, longest: int, device: torch.device, first_frame: int = 0
) -> Tensor:
    """Cosine and sine of every token's angles, (N, 1, d/2, 2) float32, for a grid of (frames, rows, columns).

    The grid's first frame stands at `first_frame` of the video. Only the axes' tables, of `longest` positions, are
    kept: those of a whole grid would pile up, one for each block of a long video.
    """
    parts = []
    for axis, dim in enumerate(axis_dims(head_dim)):
        first = first_frame if axis == 0 else 0
        shape = [1, 1, 1, dim // 2, 2]
        shape[axis] = grid[axis]
        table = axis_table(longest, dim, device)[first : first + grid[axis]]
        parts.append(table.reshape(shape).expand(*grid, -1, -1))
    return torch.cat(parts, dim=3).reshape(-1, 1, head_dim // 2, 2)


def rotate(x: Tensor, turns: Tensor) -> Tensor:
    """Turns neighbouring channel pairs of x (B, N, heads, d), float32, by the angles of `rotation`."""
    pairs = x.unflatten(-1, (-1, 2))
    if not torch.compiler.is_compiling():  # which knows no complex numbers, and needs them less
        return torch.view_as_real(torch.view_as_complex(pairs) * torch.view_as_complex(turns)).flatten(-2)
    (first, second), (cos, sin) = pairs.unbind(-1), turns.unbind(-1)
    return torch.stack((first * cos - second * sin, first * sin + second * cos), dim=-1).flatten(-2)
