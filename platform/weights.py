"""Weight files: named by a path or URI and, where the asker is careful, the sha256 of their content. Nothing is
downloaded from anywhere else, and nothing is unpickled."""

from __future__ import annotations

import hashlib
import io
from typing import Any

from framemill.platform import storage
from framemill.platform.errors import RequestError


def read_weights(uri: str, sha256: str = "") -> bytes:
    """The content of a weight file.

    Raises:
        RequestError: it is not there, cannot be read, or is not the one that was meant.
    """
    try:
        data = storage.read_bytes(uri)
    except FileNotFoundError as error:
        raise RequestError(f"{uri}: there is no such file") from error
    except OSError as error:
        raise RequestError(f"{uri}: cannot be read ({error.strerror or error})") from error
    found = hashlib.sha256(data).hexdigest()
    if sha256 and found != sha256:
        raise RequestError(f"{uri}: its sha256 is {found}, not {sha256}")
    return data


def read_state_dict(uri: str, sha256: str = "") -> dict[str, Any]:
    """The tensors by name of a safetensors file, or of one that torch saved.

    Raises:
        RequestError: as `read_weights`, or it holds anything but tensors by name.
    """
    import torch
    from safetensors.torch import load

    data = read_weights(uri, sha256)
    try:
        if uri.endswith(".safetensors"):
            return load(data)
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a file that is no state dict makes the reader raise
        raise RequestError(f"{uri}: is no state dict, of safetensors or torch ({type(error).__name__})") from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise RequestError(f"{uri}: is no state dict: it does not hold tensors by name")
    return state
