"""Floating-point operations of the Linear DiT's matrix products and convolutions, from which MFU is computed.

A multiply and an add count as two. Norms, activations and rotary embeddings are left out (under 1 % at SANA-Video's
width). A backward pass takes twice the forward pass; recomputation is overhead and is not counted.
"""

from __future__ import annotations

from framemill.training.model.config import LinearDiTConfig
from framemill.training.model.embeddings import SINUSOIDS

_SPATIAL_TAPS, _TEMPORAL_TAPS = 9, 3
"""Kernel sizes of the feed-forward's convolutions: 3x3 in space, 3 in time."""


def forward_flops(config: LinearDiTConfig, tokens: int, text_tokens: int, timesteps: int = 1) -> float:
    """Returns the FLOPs of one sample's forward pass.

    Args:
        config: shape of the model.
        tokens: video tokens.
        text_tokens: tokens of the caption.
        timesteps: 1, or the number of latent frames if each frame has a separate timestep.
    """
    width, cross = config.width, config.cross_width
    hidden = int(config.mlp_ratio * width)
    self_attention = 4 * width * width + 2 * width * config.attention_head_dim + width
    cross_attention = 2 * width * cross + 2 * text_tokens * cross
    feed_forward = width * 2 * hidden + _SPATIAL_TAPS * 2 * hidden + hidden * width + _TEMPORAL_TAPS * width * width
    patch_pixels = config.patch_size[1] * config.patch_size[2]
    projections = patch_pixels * (config.in_channels + config.out_channels) * width
    video = config.num_layers * (self_attention + cross_attention + feed_forward) + projections
    text = config.caption_channels * width + width * width + config.num_layers * 2 * width * cross
    time = SINUSOIDS * width + 7 * width * width
    return 2.0 * (tokens * video + text_tokens * text + timesteps * time)
