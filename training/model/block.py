"""A transformer block of the Linear DiT, and what it remembers of earlier calls.

Shapes: B batch, T latent frames, S tokens of a frame, D width, F timesteps of a sample (1 or T), h heads, d width of a
head.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from framemill.training.model.activation_checkpointing import recompute_pointwise
from framemill.training.model.attention import LinearSelfAttention, Sums, TextCrossAttention
from framemill.training.model.config import LinearDiTConfig
from framemill.training.model.mix_ffn import MixFFN
from framemill.training.model.token_grid import TokenGrid


class BlockMemory(NamedTuple):
    """What one transformer block remembers of a video."""

    sums: Sums  # of the linear attention
    last: Tensor  # (B, 1, S, D), the last frame that its temporal convolution saw

    def kept(self, dtype: torch.dtype) -> BlockMemory:
        """A copy without gradient; a part of an activation would keep all of it alive."""
        kv, k, last = (part.detach().clone(memory_format=torch.contiguous_format) for part in (*self.sums, self.last))
        return BlockMemory(Sums(kv, k), last.to(dtype))


def modulate(norm: nn.Module, x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """The norm of x (B, T, S, D) under a shift and a scale (B, F, 1, D): one for a frame, never one for a token."""
    return torch.addcmul(shift, norm(x), 1 + scale)


class Block(nn.Module):
    """Self-attention, cross-attention, feed-forward; the first and the last modulated and gated by the timestep."""

    def __init__(self, config: LinearDiTConfig) -> None:
        super().__init__()
        width = config.width
        self.norm1 = nn.LayerNorm(width, eps=config.norm_eps, elementwise_affine=False)
        self.attn1 = LinearSelfAttention(
            width, config.num_attention_heads, config.attention_bias, config.linear_attention_eps
        )
        self.attn2 = TextCrossAttention(width, config.cross_width, config.num_cross_attention_heads, bias=True)
        self.norm2 = nn.LayerNorm(width, eps=config.norm_eps, elementwise_affine=config.norm_elementwise_affine)
        self.ff = MixFFN(width, int(config.mlp_ratio * width))
        self.scale_shift_table = nn.Parameter(torch.randn(6, width) / width**0.5)

    def forward(
        self,
        x: Tensor,
        modulation: Tensor,
        keys: Tensor,
        values: Tensor,
        mask: Tensor | None,
        layout: TokenGrid,
        past: BlockMemory | None = None,
    ) -> tuple[Tensor, BlockMemory]:
        """x (B, T, S, D), modulation (B, F, 6, D), the caption's keys, values and mask, and what came before x.

        Returns the new x, and what is to be remembered of it and of all before.
        """
        frame = x.shape[1:3]
        shift1, scale1, gate1, shift2, scale2, gate2 = (self.scale_shift_table + modulation).unsqueeze(2).unbind(3)
        h = recompute_pointwise(modulate, self.norm1, x, shift1, scale1).flatten(1, 2)
        h, sums = self.attn1(h, layout, None if past is None else past.sums)
        x = torch.addcmul(x, gate1, h.unflatten(1, frame))
        # The text is read by the stream itself: no norm, no modulation, no gate.
        x = x + self.attn2(x.flatten(1, 2), keys, values, mask).unflatten(1, frame)
        h = recompute_pointwise(modulate, self.norm2, x, shift2, scale2).unflatten(2, (layout.rows, -1))
        h, last = self.ff(h, layout.starts, None if past is None else past.last)
        return torch.addcmul(x, gate2, h.flatten(2, 3)), BlockMemory(sums, last)
