"""Tiled coding of large frames: overlapping tiles are coded one by one and blended, in the memory of one tile.

Tiles are evenly spaced and of one size, so that no tile is too narrow for the network. In an overlap the weight of
a tile falls linearly towards its edge; the weights are divided by their sum.

Shapes: any leading axes, then H rows and W columns of the input; the output is larger or smaller by a fixed factor.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


def tile_starts(length: int, tile: int, overlap: int, unit: int) -> list[int]:
    """Returns the starts of tiles that cover `length`; neighbours overlap by `overlap` or more.

    Args:
        length: length of the axis; an axis no longer than a tile has one tile, at 0.
        tile: length of a tile.
        overlap: minimum overlap of neighbours.
        unit: starts are multiples of this number.
    """
    if length <= tile:
        return [0]
    count = math.ceil((length - overlap) / (tile - overlap))
    last = length - tile
    return [round(last * number / (count - 1) / unit) * unit for number in range(count)]


def tiled(code: Callable[[Tensor], Tensor], x: Tensor, tile: int, overlap: int, scale: tuple[int, int]) -> Tensor:
    """Returns `code(x)` as a CPU tensor, computed tile by tile.

    Args:
        code: maps (..., H, W) to (..., H * up / down, W * up / down).
        x: input, whose H and W are multiples of `down`.
        tile: rows and columns of x in a tile, a multiple of `down`.
        overlap: minimum overlap of neighbouring tiles in rows and columns of x, a multiple of `down`.
        scale: (up, down).
    """
    up, down = scale
    height, width = x.shape[-2:]
    tops, lefts = (tile_starts(length, tile, overlap, down) for length in (height, width))
    if len(tops) == len(lefts) == 1:
        return code(x).cpu()
    total: Tensor | None = None
    weights = torch.zeros(height * up // down, width * up // down)
    rows, columns = _edge_ramp(min(tile, height), overlap, scale), _edge_ramp(min(tile, width), overlap, scale)
    weight = rows[:, None] * columns
    for top in tops:
        for left in lefts:
            part = code(x[..., top : top + tile, left : left + tile]).cpu()
            if total is None:
                total = part.new_zeros(*part.shape[:-2], *weights.shape)
            window = (slice(top * up // down, None), slice(left * up // down, None))
            total[..., *window][..., : part.shape[-2], : part.shape[-1]] += part * weight.to(part.dtype)
            weights[window][: part.shape[-2], : part.shape[-1]] += weight
    assert total is not None
    return total / weights.to(total.dtype)


def _edge_ramp(length: int, overlap: int, scale: tuple[int, int]) -> Tensor:
    """Returns a tile's weights along one output axis: rising over the first overlap, 1, falling over the last."""
    up, down = scale
    size, edge = length * up // down, max(1, overlap * up // down)
    distance = torch.arange(size) + 0.5
    return (torch.minimum(distance, size - distance) / edge).clamp(max=1)
