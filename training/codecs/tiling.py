"""A large frame in overlapping tiles, each coded alone and blended where they overlap: memory of one tile.

Tiles lie evenly, all of one size, so that none is a strip too narrow for its network. In an overlap the weight of a
tile falls linearly towards its edge; everywhere the weights are divided by their sum.

Shapes: any leading axes, then H rows and W columns of the input; the output's are larger or smaller by a fixed factor.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


def starts(length: int, tile: int, overlap: int, unit: int) -> list[int]:
    """Where tiles of `tile` begin to cover `length`, neighbours sharing `overlap` or more; multiples of `unit`.

    A length of at most one tile has one, at 0.
    """
    if length <= tile:
        return [0]
    count = math.ceil((length - overlap) / (tile - overlap))
    last = length - tile
    return [round(last * number / (count - 1) / unit) * unit for number in range(count)]


def tiled(code: Callable[[Tensor], Tensor], x: Tensor, tile: int, overlap: int, scale: tuple[int, int]) -> Tensor:
    """`code(x)`, tile by tile, on the CPU.

    Args:
        code: maps (..., H, W) to (..., H * up / down, W * up / down).
        tile: rows and columns of x in a tile, a multiple of `down`, as H, W and overlap are.
        scale: (up, down).
    """
    up, down = scale
    height, width = x.shape[-2:]
    tops, lefts = (starts(length, tile, overlap, down) for length in (height, width))
    if len(tops) == len(lefts) == 1:
        return code(x).cpu()
    total: Tensor | None = None
    weights = torch.zeros(height * up // down, width * up // down)
    rows, columns = ramp(min(tile, height), overlap, scale), ramp(min(tile, width), overlap, scale)
    weight = rows[:, None] * columns
    for top in tops:
        for left in lefts:
            part = code(x[..., top : top + tile, left : left + tile]).cpu()
            if total is None:
                total = part.new_zeros(*part.shape[:-2], *weights.shape)
            at = (slice(top * up // down, None), slice(left * up // down, None))
            total[..., *at][..., : part.shape[-2], : part.shape[-1]] += part * weight.to(part.dtype)
            weights[at][: part.shape[-2], : part.shape[-1]] += weight
    assert total is not None
    return total / weights.to(total.dtype)


def ramp(length: int, overlap: int, scale: tuple[int, int]) -> Tensor:
    """Weights over a tile's output along one axis: rising over the overlap at its beginning, falling at its end."""
    up, down = scale
    size, edge = length * up // down, max(1, overlap * up // down)
    away = torch.arange(size) + 0.5
    return (torch.minimum(away, size - away) / edge).clamp(max=1)
