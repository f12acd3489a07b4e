"""The feed-forward of a block, which is also where neighbouring tokens mix: 3x3 in space, 3 frames in time.

Shapes: B batch, T frames, H and W rows and columns of tokens, S = H*W tokens of a frame, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from framemill.training.model.activation_checkpointing import recompute_forward, recompute_pointwise

TOKENS_AT_ONCE = {"cpu": 1024, "gpu": 8192}
"""Gates are made of whole frames, about this many tokens at a time: of the model's widest activations only what the
first convolution gives is then ever whole, and on a CPU the rest stays in its caches. A GPU needs more to be busy."""


class MixFFN(nn.Module):
    """SANA's gated convolution with SANA-Video's temporal convolution as a shortcut around it.

    u = W_point(a * silu(g)), where (a, g) are the halves of depthwise3x3(silu(W_inverted x)); the result is
    u + temporal(u), with a dense 3-tap convolution over frames. It sees both neighbours, but no frame of a later
    block: there it sees zeros, as it does before the video's first frame.
    """

    recomputes = False
    """Whether the backward pass computes u again, keeping x only."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.conv_inverted = nn.Conv2d(width, 2 * hidden, 1)
        self.conv_depth = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden)
        self.conv_point = nn.Conv2d(hidden, width, 1, bias=False)
        self.conv_temp = nn.Conv2d(width, width, (3, 1), padding=(1, 0), bias=False)

    def forward(self, x: Tensor, starts: Sequence[int], previous: Tensor | None) -> tuple[Tensor, Tensor]:
        """x (B, T, H, W, D) -> (B, T, H, W, D), and the last frame of u (B, 1, S, D).

        `starts` are the first frames of blocks, `previous` is the last frame of u in an earlier call.
        """
        spatial = partial(recompute_forward, self.spatial) if self.recomputes else self.spatial
        u = spatial(x.flatten(0, 1)).flatten(1, 2).unflatten(0, x.shape[:2])  # (B, T, S, D)
        return (u + self.temporal(u, starts, previous)).view_as(x), u[:, -1:]

    def spatial(self, images: Tensor) -> Tensor:
        """u of images (frames, H, W, D), and its shape."""
        # Tokens lie channel-last in memory: the permutes are views that convolutions take as they are. Those over one
        # token could be matrix products, but on CPUs that are not Intel's these are the slower ones.
        wide = self.conv_inverted(images.permute(0, 3, 1, 2))
        at_once = max(1, TOKENS_AT_ONCE["cpu" if wide.is_cpu else "gpu"] // wide[0, 0].numel())
        parts = [wide] if torch.compiler.is_compiling() else wide.split(at_once)
        return self.conv_point(torch.cat([recompute_pointwise(self.gated, part) for part in parts])).permute(0, 2, 3, 1)

    def gated(self, wide: Tensor) -> Tensor:
        """(frames, 2 hidden, H, W) -> (frames, hidden, H, W); without gradients it overwrites what it read."""
        scratch = not torch.is_grad_enabled()
        value, gate = self.conv_depth(F.silu(wide, inplace=scratch)).chunk(2, dim=1)
        return value * F.silu(gate, inplace=scratch)

    def temporal(self, u: Tensor, starts: Sequence[int], previous: Tensor | None) -> Tensor:
        """The convolution over frames of u (B, T, S, D), block by block, each with the frame before it."""
        parts = []
        for start, end in zip(starts, (*starts[1:], u.shape[1]), strict=True):
            seen = u[:, max(start - 1, 0) : end]
            if start == 0 and previous is not None:
                seen = torch.cat((previous, seen), dim=1)
            mixed = self.conv_temp(seen.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
            parts.append(mixed[:, start - end :])
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
