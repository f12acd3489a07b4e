"""A caption's keys and values in all transformer blocks, computed once for all solver steps and blocks of a video.

Shapes: B batch, L text tokens, h heads, d width of a head, D width of the text embeddings.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

_MASKED_SCORE = -10000.0
"""Added to the attention scores of padding. Finite, so that the softmax of a row that is all padding is defined."""


@dataclass(frozen=True)
class Caption:
    """Keys and values of a caption for the cross-attention of each transformer block."""

    keys: tuple[Tensor, ...]
    """(B, L, h, d) for each block."""
    values: tuple[Tensor, ...]
    """(B, L, h, d) for each block."""
    mask: Tensor | None
    """(B, 1, 1, L): bool, or a bias that is added to the scores; None where no token is padding."""


def trim_padding(text: Tensor, text_mask: Tensor) -> tuple[Tensor, Tensor | None]:
    """Returns text (B, L, D) without the columns that are padding in every row, and the mask for attention.

    If a row is all padding, the softmax under a bool mask would be undefined. As in diffusers, no column is then
    removed, and the mask is a large negative bias on all padding of the batch.
    """
    is_token = text_mask.to("cpu").bool()  # one device-to-host sync instead of one per check
    if not is_token.any(dim=1).all():
        return text, ((~is_token) * _MASKED_SCORE).to(text)[:, None, None, :]
    kept_columns = is_token.any(dim=0)
    if not kept_columns.all():
        text, is_token = text[:, kept_columns.to(text.device)], is_token[:, kept_columns]
    return text, None if is_token.all() else is_token[:, None, None, :].to(text.device)


class NullCaption(nn.Module):
    """The learned embedding of the empty caption, for classifier-free guidance."""

    def __init__(self, tokens: int, channels: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(tokens, channels) / channels**0.5)

    def forward(self, text: Tensor, text_mask: Tensor, drop_caption: Tensor) -> tuple[Tensor, Tensor]:
        """Returns text (B, L, D) and mask (B, L) with rows replaced where `drop_caption` (B,) is true; L may grow."""
        length = max(text.shape[1], len(self.embedding))
        null = _pad_to(self.embedding, 0, length)
        null_mask = torch.arange(length, device=text.device) < len(self.embedding)
        drop_caption = drop_caption.to(text.device).bool()
        text, text_mask = _pad_to(text, 1, length), _pad_to(text_mask.bool(), 1, length)
        return (
            torch.where(drop_caption[:, None, None], null.to(text.dtype), text),
            torch.where(drop_caption[:, None], null_mask, text_mask),
        )


def _pad_to(x: Tensor, dim: int, length: int) -> Tensor:
    """Returns x with zeros appended along a dimension up to `length`."""
    shape = list(x.shape)
    shape[dim] = length - shape[dim]
    return torch.cat((x, x.new_zeros(shape)), dim)
