"""Reading network folders of diffusers and transformers: `config.json` and safetensors in one file or in shards.

diffusers only warns about missing tensors and ignores extra tensors; `check_tensors` refuses both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framemill.platform import storage
from framemill.platform.errors import RequestError

if TYPE_CHECKING:
    from torch import Tensor

CONFIG = "config.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"
SHARD_INDEX = "diffusion_pytorch_model.safetensors.index.json"
"""JSON file that maps each tensor to its safetensors file, if the weights are sharded."""
_DIGESTED_SUFFIXES = (".safetensors", ".json", ".model", ".pth")
"""Suffixes of the files that determine what a network computes; only these files are part of its digest."""


def component_folder(path: str, name: str, key: str) -> Path:
    """Returns the folder of a network: the subfolder `name` of `path` if `path` is a diffusers pipeline, else `path`.

    Args:
        path: value of the config key.
        name: subfolder of the network in a pipeline, such as "vae".
        key: config key of the path; errors name it.

    Raises:
        RequestError: `path` is empty, or neither folder contains a config.json.
    """
    if not path:
        raise RequestError(f"{key}: must be the folder of the {name}, or of a pipeline with {name}/ in it")
    folder = Path(storage.local_path(path))
    for candidate in (folder / name, folder):
        if (candidate / CONFIG).exists():
            return candidate
    raise RequestError(f"{key}={path}: must hold {CONFIG} or {name}/{CONFIG}")


def read_json_object(path: Path) -> dict[str, Any]:
    """Returns the object of a JSON file.

    Raises:
        RequestError: the file does not exist, or its content is not a JSON object.
    """
    try:
        values = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise RequestError(f"{path}: no such file; the folder of a network holds one") from error
    except ValueError as error:
        raise RequestError(f"{path}: is not JSON ({error})") from error
    if not isinstance(values, dict):
        raise RequestError(f"{path}: must be a JSON object, is a {type(values).__name__}")
    return values


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Returns the tensors of a safetensors file by name.

    Raises:
        RequestError: the file does not exist, or is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise RequestError(f"{path}: no such file") from error
    except SafetensorError as error:
        raise RequestError(f"{path}: is not a whole safetensors file ({error})") from error


def read_tensors(folder: str | PathLike[str]) -> dict[str, Tensor]:
    """Returns all tensors of a diffusers model folder by name, whether in one file or in shards.

    Raises:
        RequestError: a file is missing or damaged, or the index and the shards contain different tensors.
    """
    index = Path(folder) / SHARD_INDEX
    if not index.exists():
        return read_safetensors(Path(folder) / WEIGHTS)
    weight_map = read_json_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(shard, str) for shard in weight_map.values()):
        raise RequestError(f"{index}: must hold a weight_map from tensors to files")
    tensors: dict[str, Tensor] = {}
    for shard in sorted(set(weight_map.values())):
        tensors |= read_safetensors(Path(folder) / shard)
    if different := sorted(weight_map.keys() ^ tensors.keys()):
        raise RequestError(f"{index}: {len(different)} tensors are not in both index and shards, as {different[0]}")
    return tensors


def check_tensors(expected: Mapping[str, Tensor], actual: Mapping[str, Tensor], source: str | PathLike[str]) -> None:
    """Checks that two state dicts have the same names and shapes.

    Args:
        expected: state dict of the network that the config describes.
        actual: state dict that was read.
        source: file or folder of `actual`; errors name it.

    Raises:
        RequestError: a tensor is missing, is extra, or has another shape.
    """
    for name in sorted(expected.keys() | actual.keys()):
        if name not in actual:
            raise RequestError(f"{source}: has no tensor {name}, which the config asks for")
        if name not in expected:
            raise RequestError(f"{source}: has a tensor {name}, which the config does not ask for")
        if expected[name].shape != actual[name].shape:
            raise RequestError(
                f"{source}: {name} is {tuple(actual[name].shape)}, the config asks for {tuple(expected[name].shape)}"
            )


def files_digest(paths: Iterable[Path]) -> str:
    """Returns 16 hex digits over the names and contents of weight and config files; "" if there are none.

    Args:
        paths: files and folders; of a folder, the files directly in it are included, but not those in subfolders.
    """
    files = [path for given in paths for path in (given.iterdir() if given.is_dir() else [given])]
    hashes = sorted((path.name, storage.sha256_file(str(path))) for path in files if path.suffix in _DIGESTED_SUFFIXES)
    return hashlib.sha256(json.dumps(hashes).encode()).hexdigest()[:16] if hashes else ""
