"""DC-AE (32 channels, stride 32x32), SANA's image codec: every frame of a video is coded as an image, stride 1 in time.

SANA-Video's own DC-AE-V, of temporal stride 4, has neither published weights nor a class in diffusers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from framemill.training.codecs.vae import VaeCodec


class DcaeCodec(VaeCodec):
    """DC-AE; latents are multiplied by the config's scaling factor."""

    name = "dcae"
    network = "AutoencoderDC"

    def read_config(self, config: Any) -> None:
        """Sets channels, stride and scaling factor."""
        self.channels, self.scale = config.latent_channels, float(config.scaling_factor)
        side = 2 ** (len(config.encoder_block_out_channels) - 1)
        self.stride = (1, side, side)

    def encode_pixels(self, pixels: Tensor) -> Tensor:
        """Returns (1, C, T, H', W'), every frame of (1, 3, T, H, W) encoded as an image."""
        return torch.stack([self.vae.encode(frame, return_dict=False)[0] for frame in _images(pixels)], dim=2)

    def decode_latents(self, latents: Tensor) -> Tensor:
        """Returns (1, 3, T, H, W), every frame of (1, C, T, H', W') decoded as an image."""
        return torch.stack([self.vae.decode(z, return_dict=False)[0] for z in _images(latents)], dim=2)

    def decode_blocks(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yields the frames of each block, decoded independently of all other blocks."""
        yield from map(self.decode, blocks)

    def normalise(self, latents: Tensor) -> Tensor:
        """Returns the autoencoder's latents (1, C, T', H', W') times the scaling factor."""
        return latents * self.scale

    def denormalise(self, latents: Tensor) -> Tensor:
        """Returns normalised latents (1, C, T', H', W') as the autoencoder's latents, divided by the scaling factor."""
        return latents / self.scale


def _images(video: Tensor) -> list[Tensor]:
    """Returns the frames (B, C, H, W) of (B, C, T, H, W).

    The frames are contiguous, so that a frame's result is bit-identical whichever video contains the frame.
    """
    return [frame.contiguous() for frame in video.unbind(2)]
