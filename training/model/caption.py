"""A caption as the blocks read it: made once, it serves every step of a sampler and every block of a video.

Shapes: B batch, L text tokens, h heads, d width of a head, D width of the text.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

MASKED = -10000.0  # finite: a caption of which every token is masked still gives numbers


@dataclass(frozen=True)
class Caption:
    """Keys and values of the cross-attention of each transformer block, each (B, L, h, d)."""

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    mask: Tensor | None  # (B, 1, 1, L): bool, or added to the scores; None where all tokens are there


def trim(text: Tensor, text_mask: Tensor) -> tuple[Tensor, Tensor | None]:
    """Text (B, L, D) without the columns that are padding in every row, and the mask that attention still needs.

    A row of padding alone would leave its softmax nothing to choose from. As in diffusers its tokens, and then all
    padding of the batch, stay, under a large negative number in place of a mask.
    """
    there = text_mask.to("cpu").bool()  # asked at once: each question to a GPU waits for all work before it
    if not there.any(dim=1).all():
        return text, ((~there) * MASKED).to(text)[:, None, None, :]
    kept = there.any(dim=0)
    if not kept.all():
        text, there = text[:, kept.to(text.device)], there[:, kept]
    return text, None if there.all() else there[:, None, None, :].to(text.device)


class NullCaption(nn.Module):
    """The learned caption that stands for none, in classifier-free guidance."""

    def __init__(self, tokens: int, channels: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(tokens, channels) / channels**0.5)

    def forward(self, text: Tensor, text_mask: Tensor, dropped: Tensor) -> tuple[Tensor, Tensor]:
        """Text (B, L, D) and mask (B, L) with the rows replaced where `dropped` (B,) is true; L may grow."""
        longest = max(text.shape[1], len(self.embedding))
        null = fill(self.embedding, 0, longest)
        here = torch.arange(longest, device=text.device) < len(self.embedding)
        dropped = dropped.to(text.device).bool()
        text, text_mask = fill(text, 1, longest), fill(text_mask.bool(), 1, longest)
        return (
            torch.where(dropped[:, None, None], null.to(text.dtype), text),
            torch.where(dropped[:, None], here, text_mask),
        )


def fill(x: Tensor, dim: int, length: int) -> Tensor:
    """x with zeros behind it up to `length` along a dimension."""
    shape = list(x.shape)
    shape[dim] = length - shape[dim]
    return torch.cat((x, x.new_zeros(shape)), dim)
