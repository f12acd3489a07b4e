"""Video codecs that are diffusers autoencoders, read from a folder on disk. To add a codec, copy `wan.py`.

Frames are RGB in -1..1 for the networks. Encoding takes the posterior's mode, never a sample: encoding twice gives the
same bytes. Weights are float32 on a CPU, and in the precision in which SANA runs them on a GPU.

Shapes: T frames, H and W pixels; C channels; T', H', W' the latent grid.
"""

from __future__ import annotations

import functools
from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from framemill.platform.errors import RequestError
from framemill.platform.network_folder import (
    CONFIG,
    check_tensors,
    component_folder,
    read_json_object,
    read_tensors,
)
from framemill.training.codecs.base import Codec
from framemill.training.codecs.tiling import tiled

_TILE = 1024
"""Rows and columns of a tile, in pixels: a frame with a longer side is coded in tiles. All 480p sizes of SANA-Video are
smaller."""
_OVERLAP = 128
"""Overlap of tiles, in pixels."""


class VaeCodec(Codec):
    """A diffusers autoencoder.

    A subclass names the network, reads channels and stride from its config, and normalises its latents.
    """

    network: ClassVar[str]
    """Class name of the autoencoder in diffusers."""
    precision: ClassVar[torch.dtype] = torch.float32
    """Precision of the weights on a GPU."""

    def __init__(self, path: str, tile: int = _TILE) -> None:
        """Reads the autoencoder's config; the weights are read when first used.

        Args:
            path: folder of the autoencoder, or of a pipeline with vae/ in it.
            tile: rows and columns of a tile, in pixels.

        Raises:
            RequestError: the folder does not contain an autoencoder of this class.
        """
        import diffusers

        folder = component_folder(path, "vae", "codec_path")
        self.folders = (folder,)
        values = read_json_object(folder / CONFIG)
        if (kind := values.get("_class_name")) != self.network:
            raise RequestError(f"codec_path={path}: must be a {self.network} for codec={self.name}, is a {kind}")
        try:
            with torch.device("meta"):
                self._empty: Any = getattr(diffusers, self.network).from_config(values)
            self.read_config(self._empty.config)
        except RequestError:
            raise
        except Exception as error:  # diffusers does not validate: a wrong value fails wherever it is first used
            raise RequestError(f"{folder / CONFIG}: is not the config of a {self.network} ({error!r})") from error
        self.tile = tile

    @abstractmethod
    def read_config(self, config: Any) -> None:
        """Sets channels and stride from the network's config.

        Raises:
            RequestError: the config is of a variant of the network that the codec cannot run.
        """

    @functools.cached_property
    def vae(self) -> Any:
        """The network with its weights.

        Raises:
            RequestError: a tensor is missing, extra or of the wrong shape.
        """
        (folder,) = self.folders
        tensors = read_tensors(folder)
        check_tensors(self._empty.state_dict(), tensors, folder)
        device, precision = ("cuda", self.precision) if torch.cuda.is_available() else ("cpu", torch.float32)
        tensors = {name: tensor.to(device, precision) for name, tensor in tensors.items()}
        self._empty.load_state_dict(tensors, assign=True)
        return self._empty.eval()

    @abstractmethod
    def normalise(self, latents: Tensor) -> Tensor:
        """Returns the autoencoder's latents (1, C, T', H', W') at about zero mean and unit variance, float32."""

    @abstractmethod
    def denormalise(self, latents: Tensor) -> Tensor:
        """Returns normalised latents (1, C, T', H', W') as the autoencoder's latents: the inverse of `normalise`."""

    def encode_pixels(self, pixels: Tensor) -> Tensor:
        """Returns the autoencoder's latents (1, C, T', H', W'), not normalised, of pixels (1, 3, T, H, W) in -1..1."""
        return self.vae.encode(pixels, return_dict=False)[0].mode()

    def decode_latents(self, latents: Tensor) -> Tensor:
        """Returns pixels (1, 3, T, H, W) in -1..1 of the autoencoder's latents (1, C, T', H', W'), not normalised."""
        return self.vae.decode(latents, return_dict=False)[0]

    @torch.inference_mode()
    def encode(self, video: np.ndarray) -> np.ndarray:
        """Returns float32 latents (C, T', H', W') of RGB uint8 frames (T, H, W, 3)."""
        self.latent_shape(*video.shape[:3])
        pixels = torch.from_numpy(video).permute(3, 0, 1, 2)[None]

        def encode_tile(part: Tensor) -> Tensor:
            part = part.to(self.vae.device).float() / 127.5 - 1
            return self.normalise(self.encode_pixels(part.to(self.vae.dtype)).float())

        return tiled(encode_tile, pixels, self.tile, _OVERLAP, (1, self.stride[1]))[0].numpy()

    @torch.inference_mode()
    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Returns RGB uint8 frames (T, H, W, 3) of float32 latents (C, T', H', W')."""
        side = self.stride[1]

        def decode_tile(part: Tensor) -> Tensor:
            return self.decode_latents(self.denormalise(part.to(self.vae.device)).to(self.vae.dtype)).float()

        z = torch.from_numpy(latents)[None].float()
        return to_uint8(tiled(decode_tile, z, self.tile // side, _OVERLAP // side, (side, 1)))


def to_uint8(pixels: Tensor) -> np.ndarray:
    """Returns RGB uint8 frames (T, H, W, 3) of pixels (1, 3, T, H, W) in -1..1."""
    levels = ((pixels[0] + 1) * 127.5).round().clamp(0, 255).to("cpu", torch.uint8)
    return levels.permute(1, 2, 3, 0).contiguous().numpy()
