"""Video codecs that are diffusers autoencoders, each from a folder on disk. One more is a file like `wan.py`.

Frames go in and out as RGB in -1..1. The posterior's mode is taken, never a sample: encoding twice gives the same
bytes. On a CPU the weights are float32, on a GPU in the precision that SANA runs them in.

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
from framemill.platform.network_folder import CONFIG, check_tensors, component_folder, read_json_object, read_tensors
from framemill.training.codecs.base import Codec
from framemill.training.codecs.tiling import tiled

TILE = 1024
"""Pixels: a frame with a longer side is coded in tiles. All of SANA-Video's 480p sizes are smaller."""
OVERLAP = 128


class VaeCodec(Codec):
    """A diffusers autoencoder. A subclass names its class, reads its shape, and normalises its latents."""

    network: ClassVar[str]
    """Its class in diffusers."""
    precision: ClassVar[torch.dtype] = torch.float32
    """Of its weights on a GPU."""

    def __init__(self, path: str, tile: int = TILE) -> None:
        """`path`: the autoencoder's folder, or a pipeline's with vae/ in it. The weights are read when first used.

        Raises:
            RequestError: there is none there, or one of another class.
        """
        import diffusers

        folder = component_folder(path, "vae", "codec_path")
        self.folders = (folder,)
        values = read_json_object(folder / CONFIG)
        if values.get("_class_name") != self.network:
            kind = values.get("_class_name")
            raise RequestError(f"codec_path={path}: is a {kind}, codec={self.name} a {self.network}")
        try:
            with torch.device("meta"):
                self.empty: Any = getattr(diffusers, self.network).from_config(values)
            self.read_config(self.empty.config)
        except RequestError:
            raise
        except Exception as error:  # diffusers checks nothing: a wrong value fails wherever it is first used
            raise RequestError(f"{folder / CONFIG}: is no config of a {self.network} ({error!r})") from error
        self.tile = tile

    @abstractmethod
    def read_config(self, config: Any) -> None:
        """Sets channels and stride.

        Raises:
            RequestError: a kind of this network that the codec cannot run.
        """

    @functools.cached_property
    def vae(self) -> Any:
        """The network with its weights.

        Raises:
            RequestError: weights are missing, extra or misshapen.
        """
        (folder,) = self.folders
        tensors = read_tensors(folder)
        check_tensors(self.empty.state_dict(), tensors, folder)
        device, precision = ("cuda", self.precision) if torch.cuda.is_available() else ("cpu", torch.float32)
        tensors = {name: tensor.to(device, precision) for name, tensor in tensors.items()}
        self.empty.load_state_dict(tensors, assign=True)
        return self.empty.eval()

    @abstractmethod
    def normalise(self, latents: Tensor) -> Tensor:
        """The network's latents (1, C, T', H', W') at about zero mean and unit variance, float32."""

    @abstractmethod
    def restore(self, latents: Tensor) -> Tensor:
        """What `normalise` was given."""

    def encode_pixels(self, pixels: Tensor) -> Tensor:
        """(1, 3, T, H, W) -> (1, C, T', H', W')."""
        return self.vae.encode(pixels, return_dict=False)[0].mode()

    def decode_latents(self, latents: Tensor) -> Tensor:
        """(1, C, T', H', W') -> (1, 3, T, H, W)."""
        return self.vae.decode(latents, return_dict=False)[0]

    @torch.inference_mode()
    def encode(self, video: np.ndarray) -> np.ndarray:
        self.latent_shape(*video.shape[:3])
        pixels = torch.from_numpy(video).permute(3, 0, 1, 2)[None]

        def code(part: Tensor) -> Tensor:
            part = part.to(self.vae.device).float() / 127.5 - 1
            return self.normalise(self.encode_pixels(part.to(self.vae.dtype)).float())

        return tiled(code, pixels, self.tile, OVERLAP, (1, self.stride[1]))[0].numpy()

    @torch.inference_mode()
    def decode(self, latents: np.ndarray) -> np.ndarray:
        side = self.stride[1]

        def code(part: Tensor) -> Tensor:
            return self.decode_latents(self.restore(part.to(self.vae.device)).to(self.vae.dtype)).float()

        z = torch.from_numpy(latents)[None].float()
        return to_bytes(tiled(code, z, self.tile // side, OVERLAP // side, (side, 1)))


def to_bytes(pixels: Tensor) -> np.ndarray:
    """(1, 3, T, H, W) in -1..1 -> RGB uint8 (T, H, W, 3)."""
    shown = ((pixels[0] + 1) * 127.5).round().clamp(0, 255).to("cpu", torch.uint8)
    return shown.permute(1, 2, 3, 0).contiguous().numpy()
