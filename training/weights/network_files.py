"""Folders with a network's config and weights: finding the one that is meant, and telling two apart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from framemill.platform import storage
from framemill.platform.errors import RequestError

CONTENT = (".safetensors", ".json", ".model", ".pth")
"""Endings of the files that decide what a network computes; what lies beside them is about it."""


def component(path: str, name: str, key: str) -> Path:
    """The folder of a network: `path` itself, or `name` in it where `path` is a diffusers pipeline's.

    Raises:
        RequestError: there is none; the line names the config key.
    """
    if not path:
        raise RequestError(f"{key}: is needed: the folder of the {name}, or of a pipeline with {name}/ in it")
    folder = Path(storage.local_path(path))
    for found in (folder / name, folder):
        if (found / "config.json").exists():
            return found
    raise RequestError(f"{key}={path}: holds neither config.json nor {name}/config.json")


def files_digest(paths: Iterable[Path]) -> str:
    """16 hex digits over the names and contents of files, and of those directly in folders; "" over none at all."""
    files = [path for given in paths for path in (given.iterdir() if given.is_dir() else [given])]
    found = sorted((path.name, storage.sha256_file(str(path))) for path in files if path.suffix in CONTENT)
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()[:16] if found else ""
