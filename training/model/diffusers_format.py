"""Diffusers transformer folders: config.json beside safetensors, whole or in shards, read with every tensor checked.

diffusers itself only warns about a missing tensor, and ignores an extra one; here neither passes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from framemill.platform.errors import RequestError
from framemill.training.model.config import LinearDiTConfig

CONFIG = "config.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"
NULL_CAPTION = "null_caption.safetensors"  # apart: diffusers knows of none, and reports a tensor without a place
INDEX = "diffusion_pytorch_model.safetensors.index.json"


def save(folder: str | PathLike[str], config: LinearDiTConfig, tensors: Mapping[str, Tensor]) -> None:
    """Writes config and weights to `folder`; each file appears whole or not at all."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    # Readers prefer an index: one left from a sharded model would hide the weights written here.
    (target / INDEX).unlink(missing_ok=True)
    (target / NULL_CAPTION).unlink(missing_ok=True)
    files: dict[str, dict[str, Tensor]] = {WEIGHTS: {}}
    for name, tensor in tensors.items():
        file = NULL_CAPTION if name.startswith("null_caption.") else WEIGHTS
        files.setdefault(file, {})[name] = tensor.contiguous()
    for file, part in files.items():
        temporary = target / f".{file}.tmp"
        save_file(part, temporary, metadata={"format": "pt"})
        os.replace(temporary, target / file)
    temporary = target / f".{CONFIG}.tmp"
    temporary.write_text(json.dumps(config.to_diffusers(), indent=2, sort_keys=True) + "\n")
    os.replace(temporary, target / CONFIG)


def load_config(folder: str | PathLike[str]) -> LinearDiTConfig:
    """The config of a transformer folder."""
    path = Path(folder) / CONFIG
    return read_config(read_json(path), path)


def read_config(values: dict[str, Any], source: str | PathLike[str]) -> LinearDiTConfig:
    """The config that the values of a config.json are.

    Raises:
        RequestError: as `LinearDiTConfig.from_diffusers`, beginning with the file's name.
    """
    try:
        return LinearDiTConfig.from_diffusers(values)
    except RequestError as error:
        raise RequestError(f"{source}: {error}") from error


def load_tensors(folder: str | PathLike[str]) -> dict[str, Tensor]:
    """All tensors of a transformer folder."""
    index, null_caption = Path(folder) / INDEX, Path(folder) / NULL_CAPTION
    tensors = read_safetensors(null_caption) if null_caption.exists() else {}
    if not index.exists():
        return read_safetensors(Path(folder) / WEIGHTS) | tensors
    where = read_json(index).get("weight_map")
    if not isinstance(where, dict) or not all(isinstance(shard, str) for shard in where.values()):
        raise RequestError(f"{index}: has no weight_map from tensors to files")
    apart, tensors = tensors, {}
    for shard in sorted(set(where.values())):
        tensors |= read_safetensors(Path(folder) / shard)
    if where.keys() != tensors.keys():
        names = sorted(where.keys() ^ tensors.keys())
        raise RequestError(f"{index}: {len(names)} tensors are not in index and shards alike, as {names[0]}")
    return tensors | apart


def check(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], source: str | PathLike[str]) -> None:
    """Raises RequestError unless both hold the same names with the same shapes."""
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            raise RequestError(f"{source}: has no tensor {name}, which the config asks for")
        if name not in expected:
            raise RequestError(f"{source}: has a tensor {name}, for which the config has no place")
        if expected[name].shape != found[name].shape:
            raise RequestError(
                f"{source}: {name} is {tuple(found[name].shape)}, the config asks for {tuple(expected[name].shape)}"
            )


def read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise RequestError(f"{path}: no such file; expected a diffusers transformer folder") from error
    except ValueError as error:
        raise RequestError(f"{path}: is not JSON ({error})") from error
    if not isinstance(values, dict):
        raise RequestError(f"{path}: is a JSON {type(values).__name__}, not an object")
    return values


def read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise RequestError(f"{path}: no such file") from error
    except SafetensorError as error:
        raise RequestError(f"{path}: is not a whole safetensors file ({error})") from error
