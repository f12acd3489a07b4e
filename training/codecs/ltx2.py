"""The LTX-2 VAE (128 channels, stride 8x32x32), the codec of SANA-Video's released 720p weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from framemill.platform.errors import RequestError
from framemill.training.codecs.vae import VaeCodec


class Ltx2Codec(VaeCodec):
    """Each channel is normalised by the mean and standard deviation that lie among the weights."""

    name = "ltx2"
    network = "AutoencoderKLLTX2Video"
    precision = torch.bfloat16

    def read_config(self, config: Any) -> None:
        if config.timestep_conditioning or any_true(config.decoder_inject_noise):
            raise RequestError(f"codec_path={self.folders[0]}: decodes with noise of its own, which ltx2 does not do")
        self.channels, self.scale = config.latent_channels, float(config.scaling_factor)
        # The config's own ratios may be left out, and what the class then assumes counts every block twice over.
        scaled = config.spatio_temporal_scaling
        scaled = [scaled] * len(config.downsample_type) if isinstance(scaled, bool) else scaled
        kinds = [kind for kind, here in zip(config.downsample_type, scaled, strict=True) if here]
        side = config.patch_size * 2 ** sum(kind != "temporal" for kind in kinds)
        self.stride = (config.patch_size_t * 2 ** sum(kind != "spatial" for kind in kinds), side, side)

    def normalise(self, latents: Tensor) -> Tensor:
        mean, std = self._moments()
        return (latents - mean) * self.scale / std

    def restore(self, latents: Tensor) -> Tensor:
        mean, std = self._moments()
        return latents * std / self.scale + mean

    def _moments(self) -> tuple[Tensor, Tensor]:
        return self.vae.latents_mean.float().view(-1, 1, 1, 1), self.vae.latents_std.float().view(-1, 1, 1, 1)


def any_true(value: Any) -> bool:
    return any(value) if isinstance(value, list | tuple) else bool(value)
