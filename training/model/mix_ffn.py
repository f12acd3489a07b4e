"""The feed-forward of a block, which also mixes neighbouring tokens: 3x3 in space, 3 frames in time.

Shapes: B batch, T frames, H and W rows and columns of tokens, S = H*W tokens of a frame, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from framemill.training.model.activation_checkpointing import recompute_in_backward, recompute_pointwise

TOKENS_AT_ONCE = {"cpu": 1024, "gpu": 8192}
"""Chunk size of the gated depthwise convolution, in tokens (rounded to whole frames).

Caps peak memory: only the inverted convolution's output is materialised in full. Small on a CPU to stay in cache,
larger on a GPU for occupancy."""


class MixFFN(nn.Module):
    """SANA's gated convolution, followed by SANA-Video's temporal convolution with a residual connection.

    u = W_point(a * silu(g)), where (a, g) are the halves of depthwise3x3(silu(W_inverted x)); the result is
    u + temporal(u), with a dense 3-tap convolution over frames. A frame is mixed with both neighbours. In
    place of a frame of a later block, and before the first frame of the video, the convolution uses zeros.
    """

    recompute = False
    """Whether the backward pass recomputes u from x (activation checkpointing)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.conv_inverted = nn.Conv2d(width, 2 * hidden, 1)
        self.conv_depth = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden)
        self.conv_point = nn.Conv2d(hidden, width, 1, bias=False)
        self.conv_temp = nn.Conv2d(width, width, (3, 1), padding=(1, 0), bias=False)

    def forward(self, x: Tensor, block_starts: Sequence[int], previous: Tensor | None) -> tuple[Tensor, Tensor]:
        """Returns the output (B, T, H, W, D), and the last frame of u (see the class), (B, 1, S, D).

        Args:
            x: (B, T, H, W, D): input tokens.
            block_starts: first frame of each block.
            previous: last frame of u from the previous call; None at the beginning of a video.
        """
        spatial = partial(recompute_in_backward, self._spatial) if self.recompute else self._spatial
        u = spatial(x.flatten(0, 1)).flatten(1, 2).unflatten(0, x.shape[:2])  # (B, T, S, D)
        return (u + self._temporal(u, block_starts, previous)).view_as(x), u[:, -1:]

    def _spatial(self, x: Tensor) -> Tensor:
        """Returns u (frames, H, W, D) of x (frames, H, W, D)."""
        # Tokens are channels-last in memory: the permutes are views that convolutions take without a copy. The 1x1
        # convolutions could be matrix products, but matrix products are slower on CPUs other than Intel's.
        expanded = self.conv_inverted(x.permute(0, 3, 1, 2))
        frames = max(1, TOKENS_AT_ONCE["cpu" if expanded.is_cpu else "gpu"] // expanded[0, 0].numel())
        chunks = [expanded] if torch.compiler.is_compiling() else expanded.split(frames)
        gated = torch.cat([recompute_pointwise(self._gate, chunk) for chunk in chunks])
        return self.conv_point(gated).permute(0, 2, 3, 1)

    def _gate(self, expanded: Tensor) -> Tensor:
        """Returns a * silu(g), (frames, hidden, H, W), of (frames, 2 hidden, H, W).

        Without gradients the input is overwritten.
        """
        inplace = not torch.is_grad_enabled()
        value, gate = self.conv_depth(F.silu(expanded, inplace=inplace)).chunk(2, dim=1)
        return value * F.silu(gate, inplace=inplace)

    def _temporal(self, u: Tensor, block_starts: Sequence[int], previous: Tensor | None) -> Tensor:
        """Returns the convolution over the frames of u (B, T, S, D), each block with the frame before the block."""
        outputs = []
        for start, end in zip(block_starts, (*block_starts[1:], u.shape[1]), strict=True):
            visible = u[:, max(start - 1, 0) : end]
            if start == 0 and previous is not None:
                visible = torch.cat((previous, visible), dim=1)
            mixed = self.conv_temp(visible.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
            outputs.append(mixed[:, start - end :])
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)
