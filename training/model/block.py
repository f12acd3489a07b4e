"""A transformer block of the Linear DiT, and the block's state between two calls.

Shapes: B batch, T latent frames, S tokens of a frame, D width, F timesteps of a sample (1 or T), h heads, d width of a
head.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from framemill.training.model.activation_checkpointing import recompute_pointwise
from framemill.training.model.attention import AttentionSums, LinearSelfAttention, TextCrossAttention
from framemill.training.model.config import LinearDiTConfig
from framemill.training.model.mix_ffn import MixFFN
from framemill.training.model.token_grid import TokenGrid


class BlockState(NamedTuple):
    """State of one transformer block after the frames of a video so far."""

    attention: AttentionSums
    """State of the linear attention."""
    conv_frame: Tensor
    """(B, 1, S, D): the last input frame of the temporal convolution."""

    def detached_copy(self, dtype: torch.dtype) -> BlockState:
        """Returns a contiguous copy without gradient, with `conv_frame` in `dtype`.

        A view would keep the whole underlying activation in memory.
        """
        kv, k, conv_frame = (
            part.detach().clone(memory_format=torch.contiguous_format) for part in (*self.attention, self.conv_frame)
        )
        return BlockState(AttentionSums(kv, k), conv_frame.to(dtype))


def modulate(norm: nn.Module, x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Returns norm(x) * (1 + scale) + shift for x (B, T, S, D); shift and scale are (B, F, 1, D)."""
    return torch.addcmul(shift, norm(x), 1 + scale)


class Block(nn.Module):
    """A transformer block: self-attention, cross-attention and feed-forward.

    The timestep modulates and gates the self-attention and the feed-forward.
    """

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
        grid: TokenGrid,
        past: BlockState | None = None,
    ) -> tuple[Tensor, BlockState]:
        """Returns the block's output (B, T, S, D), and the state after the frames of x.

        Args:
            x: (B, T, S, D): input tokens.
            modulation: (B, F, 6, D): shift, scale and gate of the self-attention, then of the feed-forward.
            keys: (B, L, h, d): keys of the caption from `TextCrossAttention.keys_and_values`.
            values: (B, L, h, d): values of the caption from `TextCrossAttention.keys_and_values`.
            mask: (B, 1, 1, L): mask of the caption as in `TextCrossAttention`; None: attend to all text tokens.
            grid: rotary embedding and blocks of the tokens.
            past: state before x; None at the beginning of a video.
        """
        frame = x.shape[1:3]
        shift1, scale1, gate1, shift2, scale2, gate2 = (self.scale_shift_table + modulation).unsqueeze(2).unbind(3)
        h = recompute_pointwise(modulate, self.norm1, x, shift1, scale1).flatten(1, 2)
        h, attention = self.attn1(h, grid, None if past is None else past.attention)
        x = torch.addcmul(x, gate1, h.unflatten(1, frame))
        # The cross-attention reads the residual stream itself: no norm, no modulation, no gate.
        x = x + self.attn2(x.flatten(1, 2), keys, values, mask).unflatten(1, frame)
        h = recompute_pointwise(modulate, self.norm2, x, shift2, scale2).unflatten(2, (grid.rows, -1))
        h, conv_frame = self.ff(h, grid.block_starts, None if past is None else past.conv_frame)
        return torch.addcmul(x, gate2, h.flatten(2, 3)), BlockState(attention, conv_frame)
