"""How many floating-point operations the Linear DiT's matrix products and convolutions take: the base of MFU.

A multiply and an add count as two. Left out are norms, activations and rotations (under 1 % at SANA-Video's width).
A backward pass takes twice the forward's; recomputation is overhead and counts as nothing.
"""

from __future__ import annotations

from framemill.training.model.config import LinearDiTConfig
from framemill.training.model.embeddings import SINUSOIDS

TAPS_IN_SPACE, TAPS_IN_TIME = 9, 3


def forward_flops(config: LinearDiTConfig, tokens: int, text_tokens: int, timesteps: int = 1) -> float:
    """Of one sample with that many video tokens, text tokens, and timesteps (1, or one for each latent frame)."""
    width, cross = config.width, config.cross_width
    hidden = int(config.mlp_ratio * width)
    self_attention = 4 * width * width + 2 * width * config.attention_head_dim + width
    cross_attention = 2 * width * cross + 2 * text_tokens * cross
    feed_forward = width * 2 * hidden + TAPS_IN_SPACE * 2 * hidden + hidden * width + TAPS_IN_TIME * width * width
    pixels = config.patch_size[1] * config.patch_size[2]
    ends = pixels * (config.in_channels + config.out_channels) * width
    video = config.num_layers * (self_attention + cross_attention + feed_forward) + ends
    text = config.caption_channels * width + width * width + config.num_layers * 2 * width * cross
    time = SINUSOIDS * width + 7 * width * width
    return 2.0 * (tokens * video + text_tokens * text + timesteps * time)
