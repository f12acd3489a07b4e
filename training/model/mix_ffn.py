"""The feed-forward of a block, which is also where neighbouring tokens mix: 3x3 in space, 3 frames in time.

Shapes: B batch, T frames, H and W rows and columns of tokens, D width.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class MixFFN(nn.Module):
    """SANA's gated convolution with SANA-Video's temporal convolution as a shortcut around it.

    u = W_point(a * silu(g)), where (a, g) are the halves of depthwise3x3(silu(W_inverted x)); the result is
    u + temporal(u), with a dense 3-tap convolution over frames that sees both neighbours.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.conv_inverted = nn.Conv2d(width, 2 * hidden, 1)
        self.conv_depth = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden)
        self.conv_point = nn.Conv2d(hidden, width, 1, bias=False)
        self.conv_temp = nn.Conv2d(width, width, (3, 1), padding=(1, 0), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H, W, D) -> (B, T, H, W, D)."""
        batch, frames, height, width = x.shape[:4]
        # Tokens lie channel-last in memory: the permutes are views that convolutions take as they are.
        u = F.silu(self.conv_inverted(x.flatten(0, 1).permute(0, 3, 1, 2)))
        value, gate = self.conv_depth(u).chunk(2, dim=1)
        u = self.conv_point(value * F.silu(gate))
        u = u.unflatten(0, (batch, frames)).transpose(1, 2).flatten(3)  # (B, D, T, H*W)
        u = u + self.conv_temp(u)
        return u.permute(0, 2, 3, 1).unflatten(2, (height, width))
