"""The two attention layers of a block: linear self-attention over video tokens, softmax cross-attention to the text.

Shapes: B batch, N video tokens, L text tokens, D width, h heads, d width of a head, G groups of tokens that attend to
the same past (the frames of a block-causal call, or all tokens as one group).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from framemill.training.model.activation_checkpointing import recompute_pointwise
from framemill.training.model.rope import rotate
from framemill.training.model.token_grid import TokenGrid

_QK_NORM_EPS = 1e-5
"""Epsilon of the RMS norms of queries and keys, as in diffusers."""


class AttentionSums(NamedTuple):
    """State of linear attention after all tokens so far, float32. The size does not depend on the number of tokens."""

    kv: Tensor
    """(B, h, d, d): sum of R(k) v^T."""
    k: Tensor
    """(B, h, d): sum of k."""


def linear_attention(
    q: Tensor, k: Tensor, v: Tensor, grid: TokenGrid, eps: float, past: AttentionSums | None = None
) -> tuple[Tensor, AttentionSums]:
    """Returns the output of attention with a ReLU kernel, linear in N, and the sums over all tokens and the past.

    o_n = R(q_n) . sum_m R(k_m) v_m^T / (q_n . sum_m k_m + eps), where R is the rotary embedding, q and k are not
    negative, and m runs over `past`, all earlier blocks and the token's own block (SANA-Video, equations 2 and 3). R
    stays out of the denominator: rotated products can cancel to zero, and the loss then diverges. Everything runs in
    float32, with or without autocast: the sums go over the whole video.

    Args:
        q: queries (B, N, h, d); keys `k`, values `v` and the result have the same shape.
        grid: rotary embedding and blocks of the N tokens.
        eps: added to the denominator.
        past: sums over all earlier tokens of the video; None at the beginning of a video.
    """
    with torch.autocast(q.device.type, enabled=False):
        q, k, v = F.relu(q).float(), F.relu(k).float(), v.float()
        rotated_q, rotated_k = rotate(q, grid.rope), rotate(k, grid.rope)
        groups = (1 if grid.last_frames is None else len(grid.last_frames), -1)
        q, k, v, rotated_q, rotated_k = (
            part.unflatten(1, groups).transpose(2, 3) for part in (q, k, v, rotated_q, rotated_k)
        )  # (B, G, h, tokens, d)
        kv = rotated_k.transpose(-2, -1) @ v
        k_sum = k.sum(dim=3)
        if grid.last_frames is not None:
            kv, k_sum = kv.cumsum(1)[:, grid.last_frames], k_sum.cumsum(1)[:, grid.last_frames]
        if past is not None:
            kv, k_sum = kv + past.kv.unsqueeze(1), k_sum + past.k.unsqueeze(1)
        weight = (k_sum.unsqueeze(-2) @ q.transpose(-2, -1) + eps).transpose(-2, -1)  # (B, G, h, tokens, 1)
        out = rotated_q @ kv / weight
        return out.transpose(2, 3).flatten(1, 2), AttentionSums(kv[:, -1], k_sum[:, -1])


class Attention(nn.Module):
    """Base class of both attention layers: the projections, and RMSNorm of queries and keys over all heads."""

    def __init__(self, width: int, inner: int, heads: int, bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, inner, bias=bias)
        self.to_k = nn.Linear(width, inner, bias=bias)
        self.to_v = nn.Linear(width, inner, bias=bias)
        self.norm_q = nn.RMSNorm(inner, eps=_QK_NORM_EPS)
        self.norm_k = nn.RMSNorm(inner, eps=_QK_NORM_EPS)
        self.to_out = nn.Sequential(nn.Linear(inner, width))  # "to_out.0" in the checkpoint format

    def split_heads(self, x: Tensor) -> Tensor:
        """Returns x (B, tokens, h d) as (B, tokens, h, d)."""
        return x.unflatten(-1, (self.heads, -1))


class LinearSelfAttention(Attention):
    """Linear self-attention over the video's tokens, including earlier tokens through the state."""

    def __init__(self, width: int, heads: int, bias: bool, eps: float) -> None:
        super().__init__(width, width, heads, bias)
        self.eps = eps

    def forward(self, x: Tensor, grid: TokenGrid, past: AttentionSums | None) -> tuple[Tensor, AttentionSums]:
        """Returns the attention's output (B, N, D) for x (B, N, D), and the sums with the tokens of x added."""
        out, sums = recompute_pointwise(self._attend, self.to_q(x), self.to_k(x), self.to_v(x), grid, past)
        return self.to_out(out), sums

    def _attend(
        self, q: Tensor, k: Tensor, v: Tensor, grid: TokenGrid, past: AttentionSums | None
    ) -> tuple[Tensor, AttentionSums]:
        q, k = self.norm_q(q), self.norm_k(k)
        out, sums = linear_attention(
            self.split_heads(q), self.split_heads(k), self.split_heads(v), grid, self.eps, past
        )
        return out.flatten(-2).to(v.dtype), sums


class TextCrossAttention(Attention):
    """Softmax cross-attention from the video's tokens to a caption."""

    def keys_and_values(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """Returns keys and values of a caption (B, L, D), each (B, L, h, d)."""
        return self.split_heads(self.norm_k(self.to_k(text))), self.split_heads(self.to_v(text))

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """Returns the attention's output (B, N, D) for x (B, N, D).

        Args:
            x: video tokens.
            keys: (B, L, h, d): keys of the caption from `keys_and_values`.
            values: (B, L, h, d): values of the caption from `keys_and_values`.
            mask: (B, 1, 1, L): bool, or a bias that is added to the scores; None: attend to all text tokens.
        """
        q = self.split_heads(recompute_pointwise(self.norm_q, self.to_q(x)))
        q, k, v = (part.transpose(1, 2) for part in (q, keys, values))
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.to_out(out.transpose(1, 2).flatten(-2))
