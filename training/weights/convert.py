"""`framemill convert`: weights between run checkpoints, diffusers transformer folders and original checkpoints.

Every tensor's name and shape is checked against the model before anything is written. A checkpoint's weights are
`model.json` and `model.safetensors`; a transformer folder's are `config.json` and
`diffusion_pytorch_model.safetensors`, whole or in shards; names and shapes are the same in both. An original is one
`.pth` in the layout of NVlabs/Sana, with the model's config as a further entry, which Sana's own code ignores.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from framemill.platform import storage
from framemill.platform.compose import resolve
from framemill.platform.errors import RequestError
from framemill.training.model import LinearDiTConfig
from framemill.training.model.diffusers_format import save_transformer
from framemill.training.weights import original
from framemill.training.weights.config import ConvertConfig
from framemill.training.weights.source import CONFIG_ENTRY, MODEL_JSON, MODEL_TENSORS, find_weights


@dataclass(frozen=True)
class ConvertResult:
    """Result of the job `convert`."""

    source: Path
    """File or folder that was read."""
    output: Path
    """File or folder that was written."""
    kind: str
    """Format that was written: "checkpoint", "diffusers" or "original"."""
    tensors: int
    """Number of tensors of the model."""
    parameters: int
    """Number of parameters of the model."""
    heads: int
    """Number of self-attention heads."""

    def line(self) -> str:
        """Returns a one-line summary of the result, which the job prints."""
        return (
            f"convert: {self.source} -> {self.kind} {self.output}: "
            f"{self.tensors} tensors, {self.parameters:,} parameters, {self.heads} heads"
        )


def convert(config: ConvertConfig | None = None, **keys: Any) -> ConvertResult:
    """Writes the weights at `input` to `output` in another format.

    Args:
        config: the whole config, or None.
        **keys: the command's keys: `input`, `output`, `to`, `heads`.

    Raises:
        RequestError: there are no weights at `input`; `output` is not empty; a tensor is missing, extra or of the wrong
            shape; or `heads` differs from the number of heads in the weights.
    """
    config = resolve("convert", ConvertConfig, config, keys)
    source, output = find_weights(config.input, "input"), Path(config.output)
    kind = config.to
    if kind == "auto":
        kind = "original" if output.suffix == ".pth" else "checkpoint" if source.kind == "diffusers" else "diffusers"
    if output.is_file() or storage.list_dir(str(output)):
        raise RequestError(f"output={output}: must be empty; choose another output")
    if (kind == "original") != (output.suffix == ".pth"):
        raise RequestError(f"output={output}: must be a file named .pth for an original, and a folder otherwise")
    shape, tensors = source.read_video_model(config.heads)
    heads = shape.num_attention_heads
    if config.heads not in (0, heads):
        raise RequestError(f"heads={config.heads}: must be {heads}, the heads of {source.path}")
    if kind == "diffusers":
        save_transformer(output, shape, tensors)
    elif kind == "checkpoint":
        save_checkpoint(output, shape, tensors)
    else:
        _save_original(output, shape, original.to_original(tensors))
    parameters = sum(tensor.numel() for tensor in tensors.values())
    return ConvertResult(source.path, output, kind, len(tensors), parameters, heads)


def save_checkpoint(output: Path, shape: LinearDiTConfig, tensors: dict[str, Tensor]) -> None:
    """Writes a checkpoint's weights; `model.json` is written last, so that a folder with `model.json` is complete."""
    output.mkdir(parents=True, exist_ok=True)
    temporary = storage.temporary_path(str(output / MODEL_TENSORS))
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary)
    storage.commit_file(temporary, str(output / MODEL_TENSORS))
    text = json.dumps(shape.to_diffusers(), indent=1, sort_keys=True) + "\n"
    storage.write_atomic(str(output / MODEL_JSON), text.encode())


def _save_original(output: Path, shape: LinearDiTConfig, tensors: dict[str, Tensor]) -> None:
    """Writes tensors in the original layout, atomically."""
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = storage.temporary_path(str(output))
    with open(temporary, "wb") as file:  # torch.save by name fails for a file that begins with a dot
        torch.save({"state_dict": tensors, CONFIG_ENTRY: shape.to_diffusers()}, file)
    storage.commit_file(temporary, str(output))
