"""DC-AE (32 channels, stride 32x32), SANA's image codec: every frame of a video is coded as an image, stride 1 in time.

SANA-Video's own DC-AE-V, which folds four frames into one, has neither weights nor a class in diffusers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from framemill.training.codecs.vae import VaeCodec


class DcaeCodec(VaeCodec):
    """The latents are multiplied by the config's scaling factor."""

    name = "dcae"
    network = "AutoencoderDC"

    def read_config(self, config: Any) -> None:
        self.channels, self.scale = config.latent_channels, float(config.scaling_factor)
        side = 2 ** (len(config.encoder_block_out_channels) - 1)
        self.stride = (1, side, side)

    def encode_pixels(self, pixels: Tensor) -> Tensor:
        return torch.stack([self.vae.encode(frame, return_dict=False)[0] for frame in alone(pixels)], dim=2)

    def decode_latents(self, latents: Tensor) -> Tensor:
        return torch.stack([self.vae.decode(z, return_dict=False)[0] for z in alone(latents)], dim=2)

    def decode_blocks(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Frames stand alone, and so do blocks."""
        yield from map(self.decode, blocks)

    def normalise(self, latents: Tensor) -> Tensor:
        return latents * self.scale

    def restore(self, latents: Tensor) -> Tensor:
        return latents / self.scale


def alone(video: Tensor) -> list[Tensor]:
    """The frames (B, C, H, W) of (B, C, T, H, W), one by one and laid out as such: so each gives the same to the last
    digit in any video."""
    return [frame.contiguous() for frame in video.unbind(2)]
