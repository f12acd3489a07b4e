"""The two attentions of a block: linear over the video's tokens, softmax over the text's.

Shapes: B batch, N video tokens, L text tokens, D width, h heads, d width of a head, G groups of tokens that see the
same past (the frames of a block-causal call, or all tokens as one).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from framemill.training.model.activation_checkpointing import recompute_pointwise
from framemill.training.model.rope import rotate
from framemill.training.model.token_grid import TokenGrid

QK_NORM_EPS = 1e-5


class Sums(NamedTuple):
    """All that linear attention remembers of the tokens it has seen, float32."""

    kv: Tensor  # (B, h, d, d), sum of R(k) v^T
    k: Tensor  # (B, h, d), sum of k


def linear_attention(
    q: Tensor, k: Tensor, v: Tensor, layout: TokenGrid, eps: float, past: Sums | None = None
) -> tuple[Tensor, Sums]:
    """Attention with a ReLU kernel, linear in N (SANA-Video, equations 2 and 3). q, k, v and the result (B, N, h, d).

    o_n = R(q_n) . sum_m R(k_m) v_m^T / (q_n . sum_m k_m + eps), where R is the rotary embedding, q and k are not
    negative, and m goes over `past`, all earlier blocks and the token's own block. R stays out of the denominator:
    rotated products can cancel to zero, and the loss then diverges. Everything runs in float32, autocast or not: the
    sums go over the whole video. Returns the sums over all tokens and the past as well.
    """
    with torch.autocast(q.device.type, enabled=False):
        q, k, v = F.relu(q).float(), F.relu(k).float(), v.float()
        turned_q, turned_k = rotate(q, layout.turns), rotate(k, layout.turns)
        groups = (1 if layout.last is None else len(layout.last), -1)
        q, k, v, turned_q, turned_k = (
            part.unflatten(1, groups).transpose(2, 3) for part in (q, k, v, turned_q, turned_k)
        )  # (B, G, h, tokens, d)
        kv = turned_k.transpose(-2, -1) @ v
        k_sum = k.sum(dim=3)
        if layout.last is not None:
            kv, k_sum = kv.cumsum(1)[:, layout.last], k_sum.cumsum(1)[:, layout.last]
        if past is not None:
            kv, k_sum = kv + past.kv.unsqueeze(1), k_sum + past.k.unsqueeze(1)
        weight = (k_sum.unsqueeze(-2) @ q.transpose(-2, -1) + eps).transpose(-2, -1)  # (B, G, h, tokens, 1)
        out = turned_q @ kv / weight
        return out.transpose(2, 3).flatten(1, 2), Sums(kv[:, -1], k_sum[:, -1])


class Attention(nn.Module):
    """Projections that both attentions share. Queries and keys are normalised across all heads, before the split."""

    def __init__(self, width: int, inner: int, heads: int, bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, inner, bias=bias)
        self.to_k = nn.Linear(width, inner, bias=bias)
        self.to_v = nn.Linear(width, inner, bias=bias)
        self.norm_q = nn.RMSNorm(inner, eps=QK_NORM_EPS)
        self.norm_k = nn.RMSNorm(inner, eps=QK_NORM_EPS)
        self.to_out = nn.Sequential(nn.Linear(inner, width))  # "to_out.0" in the checkpoint format

    def split(self, x: Tensor) -> Tensor:
        """(B, tokens, D) -> (B, tokens, h, d)."""
        return x.unflatten(-1, (self.heads, -1))


class LinearSelfAttention(Attention):
    def __init__(self, width: int, heads: int, bias: bool, eps: float) -> None:
        super().__init__(width, width, heads, bias)
        self.eps = eps

    def forward(self, x: Tensor, layout: TokenGrid, past: Sums | None) -> tuple[Tensor, Sums]:
        """x (B, N, D) -> (B, N, D), and the sums with x's tokens added."""
        out, sums = recompute_pointwise(self.attend, self.to_q(x), self.to_k(x), self.to_v(x), layout, past)
        return self.to_out(out), sums

    def attend(self, q: Tensor, k: Tensor, v: Tensor, layout: TokenGrid, past: Sums | None) -> tuple[Tensor, Sums]:
        q, k = self.norm_q(q), self.norm_k(k)
        out, sums = linear_attention(self.split(q), self.split(k), self.split(v), layout, self.eps, past)
        return out.flatten(-2).to(v.dtype), sums


class TextCrossAttention(Attention):
    def read(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of a caption (B, L, D), each (B, L, h, d)."""
        return self.split(self.norm_k(self.to_k(text))), self.split(self.to_v(text))

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """x (B, N, D), keys and values (B, L, h, d), mask (B, 1, 1, L): bool, or added to the scores -> (B, N, D)."""
        q = self.split(recompute_pointwise(self.norm_q, self.to_q(x)))
        q, k, v = (part.transpose(1, 2) for part in (q, keys, values))
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.to_out(out.transpose(1, 2).flatten(-2))
