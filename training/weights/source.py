"""Weights wherever they come from, told apart by what lies there and read under diffusers' names.

a run directory        its newest checkpoint
a checkpoint           model.json, model.safetensors
a diffusers folder     config.json, diffusion_pytorch_model.safetensors; or a pipeline with transformer/ in it
an original .pth       {"state_dict": tensors}, of SANA-Video or of SANA's image models; in ours the config lies beside
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
from framemill.platform.network_folder import CONFIG, check_tensors, files_digest, read_json_object, read_safetensors
from framemill.training.model import LinearDiT, LinearDiTConfig
from framemill.training.model.diffusers_format import parse_config, read_transformer_tensors
from framemill.training.weights import original
from framemill.training.weights.warm_start import warm_start

MODEL, TENSORS = "model.json", "model.safetensors"
CONFIG_BESIDE = "linear_dit_config"  # in an original that we wrote: what the tensors' shapes leave open
IMAGE_CLASS = "SanaTransformer2DModel"


@dataclass(frozen=True)
class WeightSource:
    """A file or folder with weights in it. `kind` is checkpoint, diffusers, or original."""

    path: Path
    kind: str

    def read(self, heads: int = 0) -> tuple[LinearDiTConfig | None, dict[str, Tensor]]:
        """The config, None for one of SANA's image models, and all tensors under diffusers' names, none checked yet.

        Args:
            heads: of an original checkpoint that does not say; 0: as many as SANA-Video has.

        Raises:
            RequestError: the files cannot be read, or are not of such a model.
        """
        if self.kind == "original":
            theirs, config = load_pth(self.path)
            tensors = original.to_diffusers(theirs, self.path)
            if config is not None:
                return parse_config(config, self.path), tensors
            if not any(name.endswith(".conv_temp.weight") for name in tensors):
                return None, image_tensors(tensors)
            return original.read_shape(tensors, heads, self.path), tensors
        if self.kind == "checkpoint":
            shape = parse_config(read_json_object(self.path / MODEL), self.path / MODEL)
            return shape, read_safetensors(self.path / TENSORS)
        values = read_json_object(self.path / CONFIG)
        if values.get("_class_name") == IMAGE_CLASS:
            return None, image_tensors(read_transformer_tensors(self.path))
        return parse_config(values, self.path / CONFIG), read_transformer_tensors(self.path)

    def read_video(self, heads: int = 0) -> tuple[LinearDiTConfig, dict[str, Tensor]]:
        """Config and tensors of a video model, every name and shape checked.

        Raises:
            RequestError: as `read`; or an image model's, or tensors that are missing, extra or misshapen.
        """
        shape, tensors = self.read(heads)
        if shape is None:
            raise RequestError(f"{self.path}: is an image model, which can only be trained on: train init={self.path}")
        with torch.device("meta"):
            expected = LinearDiT(shape).state_dict()
        check_tensors(expected, tensors, self.path)
        return shape, tensors

    def digest(self) -> str:
        """16 hex digits over the weight files and the config, wherever they lie."""
        return files_digest([self.path / MODEL, self.path / TENSORS] if self.kind == "checkpoint" else [self.path])


def find_weights(given: str, key: str) -> WeightSource:
    """What `given`, the value of the config key `key`, is or points to.

    Raises:
        RequestError: it is none of what has weights.
    """
    path = Path(storage.local_path(given))
    if path.is_file() and path.suffix == ".pth":
        return WeightSource(path, "original")
    folders = [path, path / "transformer"]
    if (path / "latest").exists():
        folders.insert(0, path / "checkpoints" / (path / "latest").read_text().strip())
    for folder in folders:
        for name, kind in ((MODEL, "checkpoint"), (CONFIG, "diffusers")):
            if (folder / name).exists():
                return WeightSource(folder, kind)
    raise RequestError(
        f"{key}={given}: may be a run directory, a checkpoint (with {MODEL}), a diffusers folder (with "
        f"{CONFIG}) or an original .pth"
    )


def load_pth(path: Path) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
    """The tensors of an original checkpoint, and the config where we wrote it; no object in it is unpickled.

    Raises:
        RequestError: it is no such file.
    """
    try:
        # torch maps its newer files, which are zips, into memory; the older ones it can only read.
        found: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # whatever a file that is cut off, or was never torch's, makes it raise
        raise RequestError(f"{path}: is no whole file of tensors that torch saved ({type(error).__name__})") from error
    tensors = found.get("state_dict", found) if isinstance(found, dict) else None
    if not isinstance(tensors, dict) or not tensors or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise RequestError(f"{path}: holds no state_dict of tensors by name")
    config = found.get(CONFIG_BESIDE)
    return tensors, config if isinstance(config, dict) else None


def image_tensors(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """An image model's tensors as a video model's: a patch of one frame, and diffusers' other name for it."""
    found = {name.replace("patch_embed.proj.", "patch_embedding."): tensor for name, tensor in tensors.items()}
    if (patch := found.get("patch_embedding.weight")) is not None and patch.ndim == 4:
        found["patch_embedding.weight"] = patch.unsqueeze(2)
    return found


def start_from(model: LinearDiT, init: str) -> list[str]:
    """Gives a newly made model the weights that `init` names. Returns the tensors that stay new.

    Raises:
        RequestError: there are none, or they do not fit the model.
    """
    source, ours = find_weights(init, "init"), model.config
    shape, tensors = source.read(original.HEADS.get(ours.width, ours.num_attention_heads))
    for name in ("num_attention_heads", "num_cross_attention_heads"):
        if shape is not None and (theirs := getattr(shape, name)) != getattr(ours, name):
            raise RequestError(f"model.{name}={getattr(ours, name)}: the weights at {source.path} are of {theirs}")
    device = model.proj_out.weight.device
    return warm_start(model, {name: tensor.to(device) for name, tensor in tensors.items()}, source.path)
