"""The tokens of one call of the model: rotary embedding, and blocks, which determine the tokens attended to.

Shapes: T frames, N tokens in the order time, row, column; d width of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from framemill.training.model.rope import rotary_embedding


@dataclass(frozen=True)
class TokenGrid:
    """Positions and blocks of a grid of tokens.

    Frames are grouped into blocks. A token attends to all tokens of the same block and of earlier blocks.
    """

    rows: int
    """Rows of tokens in a frame."""
    rope: Tensor
    """(N, 1, d/2, 2): cosine and sine of the rotary embedding."""
    block_starts: tuple[int, ...]
    """First frame of each block."""
    last_frames: Tensor | None
    """(T,): for each frame, the last frame of its block. None if there is one block."""

    @classmethod
    def build(
        cls,
        grid: tuple[int, int, int],
        blocks: Sequence[int] | None,
        head_dim: int,
        max_length: int,
        device: torch.device,
        first_frame: int = 0,
    ) -> TokenGrid:
        """Returns the token grid of consecutive frames of a video.

        Args:
            grid: frames, rows and columns of tokens.
            blocks: first frame of each block, rising from 0; None: one block.
            head_dim: d.
            max_length: longest axis, in tokens.
            device: device of the tensors.
            first_frame: position of the grid's first frame in its video.

        Raises:
            ValueError: an axis is longer than `max_length`, or `blocks` are not rising start frames from 0.
        """
        frames, rows, columns = grid
        if max(first_frame + frames, rows, columns) > max_length:
            grid = (first_frame + frames, rows, columns)
            raise ValueError(f"token grid {grid}: no axis may be longer than {max_length}")
        starts = tuple(blocks) if blocks is not None else (0,)
        ends = (*starts[1:], frames)
        if starts[:1] != (0,) or any(start >= end for start, end in zip(starts, ends, strict=True)):
            raise ValueError(f"blocks {starts}: must be first frames of blocks, rising from 0 and below {frames}")
        last_frames = None
        if len(starts) > 1:
            per_block = [torch.full((end - start,), end - 1) for start, end in zip(starts, ends, strict=True)]
            last_frames = torch.cat(per_block).to(device)
        return cls(rows, rotary_embedding(grid, head_dim, max_length, device, first_frame), starts, last_frames)
