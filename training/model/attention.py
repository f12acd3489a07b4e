"""The two attentions of a block: linear over the video's tokens, softmax over the text's.

Shapes: B batch, N video tokens, L text tokens, D width, h heads, d width of a head.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from framemill.training.model.rope import rotate

QK_NORM_EPS = 1e-5
DENOMINATOR_EPS = 1e-15


def linear_attention(q: Tensor, k: Tensor, v: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Attention with a ReLU kernel, linear in N (SANA-Video, equation 2). q, k, v and the result are (B, N, h, d).

    o_n = R(q_n) . sum_m R(k_m) v_m^T / (q_n . sum_m k_m), where R is the rotary embedding and q, k are not negative.
    R stays out of the denominator: rotated products can cancel to zero, and the loss then diverges. All sums run in
    float32, autocast or not: they run over the whole video.
    """
    with torch.autocast(q.device.type, enabled=False):
        q, k, v = F.relu(q).float(), F.relu(k).float(), v.float()
        state = torch.einsum("bnhd,bnhe->bhde", rotate(k, cos, sin), v)
        numerator = torch.einsum("bnhd,bhde->bnhe", rotate(q, cos, sin), state)
        denominator = torch.einsum("bnhd,bhd->bnh", q, k.sum(dim=1))
        return numerator / (denominator + DENOMINATOR_EPS).unsqueeze(-1)


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

    def project(self, x: Tensor, source: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """q of x and k, v of source, each (B, tokens, h, d)."""
        q, k, v = self.norm_q(self.to_q(x)), self.norm_k(self.to_k(source)), self.to_v(source)
        return (q.unflatten(-1, (self.heads, -1)), k.unflatten(-1, (self.heads, -1)), v.unflatten(-1, (self.heads, -1)))


class LinearSelfAttention(Attention):
    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """x (B, N, D) -> (B, N, D)."""
        out = linear_attention(*self.project(x, x), cos, sin)
        return self.to_out(out.flatten(-2).to(x.dtype))


class TextCrossAttention(Attention):
    def forward(self, x: Tensor, text: Tensor, bias: Tensor) -> Tensor:
        """x (B, N, D), text (B, L, D), bias (B, 1, 1, L) added to the scores -> (B, N, D)."""
        q, k, v = (part.transpose(1, 2) for part in self.project(x, text))
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.to_out(out.transpose(1, 2).flatten(-2))
