"""Rotary position embedding over time, rows and columns (the Wan-style 3D RoPE of SANA-Video).

Shapes: N tokens in the order time, row, column; d width of a head.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

_THETA = 10000.0
"""Base of the frequencies."""


def rotary_embedding(
    grid: tuple[int, int, int], head_dim: int, max_length: int, device: torch.device, first_frame: int = 0
) -> Tensor:
    """Returns cosine and sine of every token's angles, (N, 1, d/2, 2) float32.

    Only the tables of the axes are cached: tables of whole grids would accumulate, one for each block of a long video.

    Args:
        grid: frames, rows and columns of tokens.
        head_dim: d.
        max_length: positions in an axis's table.
        device: device of the result.
        first_frame: position in time of the grid's first frame.
    """
    parts = []
    for axis, dim in enumerate(_axis_dims(head_dim)):
        first = first_frame if axis == 0 else 0
        shape = [1, 1, 1, dim // 2, 2]
        shape[axis] = grid[axis]
        table = _axis_table(max_length, dim, device)[first : first + grid[axis]]
        parts.append(table.reshape(shape).expand(*grid, -1, -1))
    return torch.cat(parts, dim=3).reshape(-1, 1, head_dim // 2, 2)


def rotate(x: Tensor, rope: Tensor) -> Tensor:
    """Returns x (B, N, heads, d), float32, with neighbouring channel pairs rotated by the angles of `rope`.

    `rope` is the cosine and sine from `rotary_embedding`.
    """
    pairs = x.unflatten(-1, (-1, 2))
    if not torch.compiler.is_compiling():  # torch.compile does not support complex numbers, and fuses the real form
        return torch.view_as_real(torch.view_as_complex(pairs) * torch.view_as_complex(rope)).flatten(-2)
    (first, second), (cos, sin) = pairs.unbind(-1), rope.unbind(-1)
    return torch.stack((first * cos - second * sin, first * sin + second * cos), dim=-1).flatten(-2)


def _axis_dims(head_dim: int) -> tuple[int, int, int]:
    """Returns how many channels of a head encode time, row and column: a third each, the remainder to time."""
    side = 2 * (head_dim // 6)
    return head_dim - 2 * side, side, side


@functools.lru_cache(maxsize=32)
def _axis_table(length: int, dim: int, device: torch.device) -> Tensor:
    """Returns cosine and sine of `length` positions along one axis, (length, dim/2, 2) float32.

    Pair i of an axis of `dim` channels is rotated by position * 10000^(-2i/dim). Angles are computed in float64: in
    float32 the angles of late frames would lose the last digits. The tables are not buffers of the model, so that
    casting a model to bfloat16 leaves the tables in float32.
    """
    # A tensor made under inference_mode cannot be used in training, and this cache is shared by both modes.
    with torch.inference_mode(False):
        frequencies = _THETA ** (-torch.arange(0, dim, 2, dtype=torch.float64, device="cpu") / dim)
        angles = torch.outer(torch.arange(length, dtype=torch.float64, device="cpu"), frequencies)
        return torch.stack((angles.cos(), angles.sin()), dim=-1).float().to(device)
