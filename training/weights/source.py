"""Reads weights of any format, recognised by the file names, under diffusers' tensor names.

run directory          its newest checkpoint
checkpoint             model.json, model.safetensors
diffusers folder       config.json, diffusion_pytorch_model.safetensors; or a pipeline with transformer/ in it
original .pth          {"state_dict": tensors} of SANA-Video or of SANA's image models; `convert` adds the config as a
                       further entry
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from framemill.platform import storage
from framemill.platform.errors import RequestError
from framemill.platform.network_folder import (
    CONFIG,
    check_tensors,
    files_digest,
    read_json_object,
    read_safetensors,
)
from framemill.training.model import LinearDiT, LinearDiTConfig
from framemill.training.model.diffusers_format import parse_config, read_transformer_tensors
from framemill.training.weights import original
from framemill.training.weights.warm_start import warm_start

MODEL_JSON, MODEL_TENSORS = "model.json", "model.safetensors"
"""Files of a checkpoint: the model's config and the full state dict."""
CONFIG_ENTRY = "linear_dit_config"
"""Entry that `convert` adds to an original .pth: the config, which the tensors' shapes do not fully determine."""
_IMAGE_CLASS = "SanaTransformer2DModel"
"""Class in diffusers of SANA's image models."""


@dataclass(frozen=True)
class WeightSource:
    """A file or folder of weights, and the format."""

    path: Path
    """File or folder."""
    kind: str
    """Format: "checkpoint", "diffusers" or "original"."""

    def read(self, heads: int = 0) -> tuple[LinearDiTConfig | None, dict[str, Tensor]]:
        """Returns config and tensors under diffusers' names, unchecked; the config is None for a SANA image model.

        Args:
            heads: number of attention heads of an original checkpoint that does not record the number; 0: SANA-Video's
                number for the model's width.

        Raises:
            RequestError: the files cannot be read, or are not of a SANA model.
        """
        if self.kind == "original":
            original_tensors, config = _load_pth(self.path)
            tensors = original.to_diffusers(original_tensors, self.path)
            if config is not None:
                return parse_config(config, self.path), tensors
            if not any(name.endswith(".conv_temp.weight") for name in tensors):
                return None, image_to_video_tensors(tensors)
            return original.config_from_tensors(tensors, heads, self.path), tensors
        if self.kind == "checkpoint":
            shape = parse_config(read_json_object(self.path / MODEL_JSON), self.path / MODEL_JSON)
            return shape, read_safetensors(self.path / MODEL_TENSORS)
        values = read_json_object(self.path / CONFIG)
        if values.get("_class_name") == _IMAGE_CLASS:
            return None, image_to_video_tensors(read_transformer_tensors(self.path))
        return parse_config(values, self.path / CONFIG), read_transformer_tensors(self.path)

    def read_video_model(self, heads: int = 0) -> tuple[LinearDiTConfig, dict[str, Tensor]]:
        """Returns config and tensors of a video model, every name and shape checked.

        Args:
            heads: number of attention heads of an original checkpoint that does not record the number; 0: SANA-Video's
                number for the model's width.

        Raises:
            RequestError: the files cannot be read, the weights are not of a SANA video model, or a tensor is missing,
                extra or of the wrong shape.
        """
        shape, tensors = self.read(heads)
        if shape is None:
            raise RequestError(
                f"{self.path}: must be a video model, is an image model; train from it with `train init={self.path}`"
            )
        with torch.device("meta"):
            expected = LinearDiT(shape).state_dict()
        check_tensors(expected, tensors, self.path)
        return shape, tensors

    def digest(self) -> str:
        """Returns a hash of the weight files and the config, 16 hex digits, independent of the path."""
        is_checkpoint = self.kind == "checkpoint"
        return files_digest([self.path / MODEL_JSON, self.path / MODEL_TENSORS] if is_checkpoint else [self.path])


def find_weights(given: str, key: str) -> WeightSource:
    """Returns the weights at a path.

    Args:
        given: value of a config key: a run directory, checkpoint, diffusers folder, pipeline or original .pth.
        key: the config key, named in error messages.

    Raises:
        RequestError: there are no weights at the path.
    """
    path = Path(storage.local_path(given))
    if path.is_file() and path.suffix == ".pth":
        return WeightSource(path, "original")
    folders = [path, path / "transformer"]
    if (path / "latest").exists():
        folders.insert(0, path / "checkpoints" / (path / "latest").read_text().strip())
    for folder in folders:
        for name, kind in ((MODEL_JSON, "checkpoint"), (CONFIG, "diffusers")):
            if (folder / name).exists():
                return WeightSource(folder, kind)
    raise RequestError(
        f"{key}={given}: must be a run directory, a checkpoint (with {MODEL_JSON}), a diffusers folder (with {CONFIG}) "
        "or an original .pth"
    )


def _load_pth(path: Path) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
    """Returns the tensors of an original checkpoint, and the config if `convert` wrote it; unpickles no other object.

    Raises:
        RequestError: the file is damaged, or has no tensors by name.
    """
    try:
        # Only torch's newer files, which are zips, can be mapped into memory.
        content: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # a truncated or foreign file makes torch raise errors of many types
        raise RequestError(
            f"{path}: is not a whole file of tensors from torch.save ({type(error).__name__})"
        ) from error
    tensors = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(tensors, dict) or not tensors or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise RequestError(f"{path}: must hold a state_dict of tensors by name")
    config = content.get(CONFIG_ENTRY)
    return tensors, config if isinstance(config, dict) else None


def image_to_video_tensors(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Returns an image model's tensors under a video model's names, with a patch embedding of one frame."""
    renamed = {name.replace("patch_embed.proj.", "patch_embedding."): tensor for name, tensor in tensors.items()}
    if (patch := renamed.get("patch_embedding.weight")) is not None and patch.ndim == 4:
        renamed["patch_embedding.weight"] = patch.unsqueeze(2)
    return renamed


def start_from(model: LinearDiT, init: str) -> list[str]:
    """Loads the weights that the config key `init` names into a new model; returns the names of new parameters.

    New parameters get no initial weights: the weights do not contain them, or contain them for another codec.

    Raises:
        RequestError: there are no weights at `init`, or the weights do not fit the model.
    """
    source, shape = find_weights(init, "init"), model.config
    initial, tensors = source.read(original.HEADS.get(shape.width, shape.num_attention_heads))
    for name in ("num_attention_heads", "num_cross_attention_heads"):
        if initial is not None and (heads := getattr(initial, name)) != getattr(shape, name):
            raise RequestError(
                f"model.{name}={getattr(shape, name)}: must be {heads}, as the weights at {source.path} have"
            )
    device = model.proj_out.weight.device
    return warm_start(model, {name: tensor.to(device) for name, tensor in tensors.items()}, source.path)
