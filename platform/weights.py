"""Reading weight files by path or URI, with an optional sha256, and without executing pickled code."""

from __future__ import annotations

import hashlib
import io
from typing import Any

from framemill.platform import storage
from framemill.platform.errors import RequestError


def read_weights(uri: str, sha256: str = "") -> bytes:
    """Returns the content of a weight file.

    Args:
        uri: path or URI.
        sha256: expected SHA-256 of the content, 64 hex digits; empty: not checked.

    Raises:
        RequestError: there is no such file, the file cannot be read, or its sha256 differs.
    """
    try:
        data = storage.read_bytes(uri)
    except FileNotFoundError as error:
        raise RequestError(f"{uri}: there is no such file", file=uri) from error
    except OSError as error:
        raise RequestError(f"{uri}: cannot be read ({error.strerror or error})", file=uri) from error
    actual = hashlib.sha256(data).hexdigest()
    if sha256 and actual != sha256:
        raise RequestError(f"{uri}: its sha256 is {actual}, must be {sha256}", file=uri)
    return data


def read_state_dict(uri: str, sha256: str = "") -> dict[str, Any]:
    """Returns the state dict, tensors by name, of a safetensors file or of a file saved by torch.

    Raises:
        RequestError: there is no such file, the file cannot be read, its sha256 differs, or it is not a state dict.
    """
    import torch
    from safetensors.torch import load

    data = read_weights(uri, sha256)
    try:
        if uri.endswith(".safetensors"):
            return load(data)
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # the readers raise many exception classes for files of other formats
        message = f"{uri}: must be a state dict of safetensors or torch ({type(error).__name__})"
        raise RequestError(message, file=uri) from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise RequestError(f"{uri}: must be a state dict, with tensors by name", file=uri)
    return state
