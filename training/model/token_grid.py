"""How the tokens of one call lie in time and space, and which of them see which.

Shapes: T frames, N tokens in the order time, row, column; d width of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from framemill.training.model.rope import rotation


@dataclass(frozen=True)
class TokenGrid:
    """Frames fall into blocks: inside one all tokens see each other, and none sees a later block."""

    rows: int
    turns: Tensor  # (N, 1, d/2, 2), the rotary embedding's
    starts: tuple[int, ...]  # first frame of each block
    last: Tensor | None  # (T,) last frame of the block that a frame is in; None where one block is all

    @classmethod
    def of(
        cls,
        grid: tuple[int, int, int],
        blocks: Sequence[int] | None,
        head_dim: int,
        longest: int,
        device: torch.device,
        first_frame: int = 0,
    ) -> TokenGrid:
        """The layout of a grid of (frames, rows, columns) that stands at `first_frame` of its video.

        Raises:
            ValueError: an axis beyond `longest`, or blocks that are not rising start frames from 0.
        """
        frames, rows, columns = grid
        if max(first_frame + frames, rows, columns) > longest:
            grid = (first_frame + frames, rows, columns)
            raise ValueError(f"token grid {grid}: no axis may be longer than {longest}")
        starts = tuple(blocks) if blocks is not None else (0,)
        ends = (*starts[1:], frames)
        if starts[:1] != (0,) or any(start >= end for start, end in zip(starts, ends, strict=True)):
            raise ValueError(f"blocks {starts}: are the first frames of blocks, rising from 0 and below {frames}")
        last = None
        if len(starts) > 1:
            last = torch.cat([torch.full((end - start,), end - 1) for start, end in zip(starts, ends, strict=True)]).to(
                device
            )
        return cls(rows, rotation(grid, head_dim, longest, device, first_frame), starts, last)
