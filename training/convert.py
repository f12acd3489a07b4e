"""`framemill convert`: weights between run checkpoints and diffusers transformer folders, every tensor checked.

A checkpoint's weights are `model.json` and `model.safetensors`; a transformer folder's are `config.json` and
`diffusion_pytorch_model.safetensors`, whole or in shards. Names and shapes are the same in both.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from framemill.platform import storage
from framemill.platform.errors import RequestError
from framemill.training.job_configs import ConvertConfig
from framemill.training.model import LinearDiT, LinearDiTConfig, weights

MODEL, TENSORS = "model.json", "model.safetensors"


@dataclass(frozen=True)
class ConvertResult:
    source: Path
    output: Path
    kind: str
    tensors: int
    parameters: int

    def line(self) -> str:
        return (
            f"convert: {self.source} -> {self.kind} {self.output}: "
            f"{self.tensors} tensors, {self.parameters:,} parameters"
        )


def convert(config: ConvertConfig) -> ConvertResult:
    """Writes the weights at `input` to `output` in the other form.

    Raises:
        RequestError: neither form is at `input`, `output` is not free, or tensors are missing, extra or misshapen.
    """
    source, output = find_weights(Path(config.input)), Path(config.output)
    if storage.list_dir(str(output)):
        raise RequestError(f"output={output}: is not empty; choose another output")
    if (source / MODEL).exists():
        shape = LinearDiTConfig.from_diffusers(weights.read_json(source / MODEL))
        tensors = weights.read_safetensors(source / TENSORS)
        check(shape, tensors, source)
        weights.save(output, shape, tensors)
        kind = "diffusers transformer"
    else:
        shape, tensors = weights.load_config(source), weights.load_tensors(source)
        check(shape, tensors, source)
        save_checkpoint(output, shape, tensors)
        kind = "checkpoint"
    return ConvertResult(source, output, kind, len(tensors), sum(tensor.numel() for tensor in tensors.values()))


def find_weights(given: Path) -> Path:
    """The folder with weights that `given` is or points to: a run's newest checkpoint, a pipeline's transformer.

    Raises:
        RequestError: there is none.
    """
    candidates = [given, given / "transformer"]
    if (given / "latest").exists():
        candidates.insert(0, given / "checkpoints" / (given / "latest").read_text().strip())
    for folder in candidates:
        if (folder / MODEL).exists() or (folder / weights.CONFIG).exists():
            return folder
    raise RequestError(
        f"input={given}: may be a run directory, a checkpoint (with {MODEL}) or a diffusers folder (with "
        f"{weights.CONFIG})"
    )


def check(shape: LinearDiTConfig, tensors: dict[str, Tensor], source: Path) -> None:
    """Raises RequestError unless the tensors are those of a model of that shape."""
    with torch.device("meta"):
        expected = LinearDiT(shape).state_dict()
    weights.check(expected, tensors, source)


def save_checkpoint(output: Path, shape: LinearDiTConfig, tensors: dict[str, Tensor]) -> None:
    """Writes a checkpoint's weights; `model.json` comes last, so that a folder with one is whole."""
    output.mkdir(parents=True, exist_ok=True)
    temporary = storage.temporary_beside(str(output / TENSORS))
    save_file(tensors, temporary)
    storage.commit_file(temporary, str(output / TENSORS))
    text = json.dumps(shape.to_diffusers(), indent=1, sort_keys=True) + "\n"
    storage.write_atomic(str(output / MODEL), text.encode())
