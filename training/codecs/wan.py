"""The Wan-VAE (Wan 2.1: 16 channels, stride 4x8x8), SANA-Video's codec at 480p.

Wan 2.2's VAE, with 48 channels and stride 4x16x16, is of this class too and is supported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from framemill.training.codecs.vae import VaeCodec, to_uint8


class WanCodec(VaeCodec):
    """The Wan-VAE; each channel is normalised by the mean and standard deviation in the config."""

    name = "wan"
    network = "AutoencoderKLWan"

    def read_config(self, config: Any) -> None:
        """Sets channels, stride and the channels' mean and standard deviation."""
        self.channels = config.z_dim
        self.stride = (config.scale_factor_temporal, config.scale_factor_spatial, config.scale_factor_spatial)
        self.mean = torch.tensor(config.latents_mean).view(self.channels, 1, 1, 1)
        self.std = torch.tensor(config.latents_std).view(self.channels, 1, 1, 1)

    def normalise(self, latents: Tensor) -> Tensor:
        """Returns the autoencoder's latents (1, C, T', H', W') at zero mean and unit variance per channel."""
        return (latents - self.mean.to(latents.device)) / self.std.to(latents.device)

    def denormalise(self, latents: Tensor) -> Tensor:
        """Returns normalised latents (1, C, T', H', W') as the autoencoder's latents: the inverse of `normalise`."""
        return latents * self.std.to(latents.device) + self.mean.to(latents.device)

    @torch.inference_mode()
    def decode_blocks(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yields the frames of one video block by block, the same frames as `decode` in less memory.

        The decoder reads one latent frame at a time, with a cache of convolution inputs from earlier frames. If
        frames are large enough for tiles, the whole video is decoded at the end: each tile would need its own cache.
        """
        from diffusers.models.autoencoders.autoencoder_kl_wan import unpatchify

        blocks, first = iter(blocks), True
        self.vae.clear_cache()
        cache = self.vae._feat_map  # used by this call alone: clear_cache makes a new list
        for block in blocks:
            if max(block.shape[2:]) * self.stride[1] > self.tile:
                yield self.decode(np.concatenate([block, *blocks], axis=1))
                return
            z = self.denormalise(torch.from_numpy(block)[None].float().to(self.vae.device)).to(self.vae.dtype)
            parts = []
            for latent in self.vae.post_quant_conv(z).split(1, dim=2):
                parts.append(self.vae.decoder(latent, feat_cache=cache, feat_idx=[0], first_chunk=first).float())
                first = False
            yield to_uint8(unpatchify(torch.cat(parts, dim=2), self.vae.config.patch_size or 1))
