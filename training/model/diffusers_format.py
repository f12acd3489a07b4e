"""The Linear DiT's folder in diffusers' format; a learned null caption is in a file that diffusers does not read."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from framemill.platform.errors import RequestError
from framemill.platform.network_folder import (
    CONFIG,
    SHARD_INDEX,
    WEIGHTS,
    read_json_object,
    read_safetensors,
    read_tensors,
)
from framemill.training.model.config import LinearDiTConfig

_NULL_CAPTION = "null_caption.safetensors"
"""File of the learned null caption, which diffusers would report as an unexpected tensor of the model."""


def save_transformer(folder: str | PathLike[str], config: LinearDiTConfig, tensors: Mapping[str, Tensor]) -> None:
    """Writes config and weights to `folder`; each file is written atomically."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    # Readers prefer an index: the index of an earlier sharded model would hide the weights written here.
    (target / SHARD_INDEX).unlink(missing_ok=True)
    (target / _NULL_CAPTION).unlink(missing_ok=True)
    files: dict[str, dict[str, Tensor]] = {WEIGHTS: {}}
    for name, tensor in tensors.items():
        file = _NULL_CAPTION if name.startswith("null_caption.") else WEIGHTS
        files.setdefault(file, {})[name] = tensor.contiguous()
    for file, file_tensors in files.items():
        temporary = target / f".{file}.tmp"
        save_file(file_tensors, temporary, metadata={"format": "pt"})
        os.replace(temporary, target / file)
    temporary = target / f".{CONFIG}.tmp"
    temporary.write_text(json.dumps(config.to_diffusers(), indent=2, sort_keys=True) + "\n")
    os.replace(temporary, target / CONFIG)


def read_transformer_config(folder: str | PathLike[str]) -> LinearDiTConfig:
    """Returns the config of a transformer folder.

    Raises:
        RequestError: the config.json is missing, damaged, or not a Linear DiT's.
    """
    path = Path(folder) / CONFIG
    return parse_config(read_json_object(path), path)


def parse_config(values: dict[str, Any], source: str | PathLike[str]) -> LinearDiTConfig:
    """Returns the config that the content of a config.json describes.

    Raises:
        RequestError: the config is of another model, or has an unknown key or a value that is not implemented. The
            message begins with `source`.
    """
    try:
        return LinearDiTConfig.from_diffusers(values)
    except RequestError as error:
        raise RequestError(f"{source}: {error}") from error


def read_transformer_tensors(folder: str | PathLike[str]) -> dict[str, Tensor]:
    """Returns all tensors of a transformer folder by name, the null caption included.

    Raises:
        RequestError: a file is missing or damaged.
    """
    null_caption = Path(folder) / _NULL_CAPTION
    return read_tensors(folder) | (read_safetensors(null_caption) if null_caption.exists() else {})
