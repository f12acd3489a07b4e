"""The LTX-2 VAE (128 channels, stride 8x32x32), the codec of SANA-Video's released 720p weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from framemill.platform.errors import RequestError
from framemill.training.codecs.vae import VaeCodec


class Ltx2Codec(VaeCodec):
    """LTX-2's VAE; each channel is normalised by the mean and standard deviation stored with the weights."""

    name = "ltx2"
    network = "AutoencoderKLLTX2Video"
    precision = torch.bfloat16

    def read_config(self, config: Any) -> None:
        """Sets channels, stride and scaling factor.

        Raises:
            RequestError: the decoder is conditioned on a timestep or adds noise.
        """
        if config.timestep_conditioning or _any_true(config.decoder_inject_noise):
            raise RequestError(
                f"codec_path={self.folders[0]}: must have a decoder without timestep_conditioning and "
                "decoder_inject_noise"
            )
        self.channels, self.scale = config.latent_channels, float(config.scaling_factor)
        # Computed from the blocks: the config's own ratios may be left out, and the class's defaults count each block
        # twice.
        scaled = config.spatio_temporal_scaling
        scaled = [scaled] * len(config.downsample_type) if isinstance(scaled, bool) else scaled
        kinds = [kind for kind, is_scaled in zip(config.downsample_type, scaled, strict=True) if is_scaled]
        side = config.patch_size * 2 ** sum(kind != "temporal" for kind in kinds)
        self.stride = (config.patch_size_t * 2 ** sum(kind != "spatial" for kind in kinds), side, side)

    def normalise(self, latents: Tensor) -> Tensor:
        """Returns the autoencoder's latents (1, C, T', H', W') normalised per channel, times the scaling factor."""
        mean, std = self._moments()
        return (latents - mean) * self.scale / std

    def denormalise(self, latents: Tensor) -> Tensor:
        """Returns normalised latents (1, C, T', H', W') as the autoencoder's latents: the inverse of `normalise`."""
        mean, std = self._moments()
        return latents * std / self.scale + mean

    def _moments(self) -> tuple[Tensor, Tensor]:
        return self.vae.latents_mean.float().view(-1, 1, 1, 1), self.vae.latents_std.float().view(-1, 1, 1, 1)


def _any_true(value: Any) -> bool:
    return any(value) if isinstance(value, list | tuple) else bool(value)
