"""Warm start: the weights of another model, SANA-Video or a SANA image model, as the initial weights of a new model.

A wider feed-forward is grown by a function-preserving initialisation: the new channels' input weights stay random and
their output weights are zero, so that the function is unchanged and the channels still learn. With zeros in both
weights, the channels would never have an output or a gradient. The temporal convolution, which an image model lacks,
begins as zero. A first or last projection of another shape, and a learned null caption that the other model lacks, keep
the random initialisation.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike

import torch
from torch import Tensor

from framemill.platform.network_folder import check_tensors
from framemill.training.model.linear_dit import LinearDiT

_LATENT_PROJECTIONS = ("patch_embedding", "proj_out")
"""First and last projection, whose shapes depend on the codec."""
_HIDDEN_INPUTS = (".conv_inverted.weight", ".conv_inverted.bias", ".conv_depth.weight", ".conv_depth.bias")
"""Endings of the feed-forward's parameters whose rows are hidden channels: values, then gates."""
_HIDDEN_OUTPUT = ".conv_point.weight"
"""Ending of the feed-forward's parameter whose columns are hidden channels."""
_TEMPORAL = ".conv_temp.weight"
"""Ending of the temporal convolutions, by which a video model is recognised."""
_NULL_CAPTION = "null_caption."
"""Beginning of the learned null caption's parameters; most models use the text encoder's output for the empty text."""


@torch.no_grad()
def warm_start(model: LinearDiT, tensors: Mapping[str, Tensor], source: str | PathLike[str]) -> list[str]:
    """Loads tensors under diffusers' names into a new model; returns the names of parameters that get no tensor.

    Args:
        model: newly initialised model.
        tensors: state dict of the other model.
        source: file or folder named in error messages.

    Raises:
        RequestError: a tensor is missing, extra or of the wrong shape, except as described at the top of this module.
    """
    parameters = model.state_dict()
    from_image_model = not any(name.endswith(_TEMPORAL) for name in tensors)
    other_projections = tuple(
        f"{module}." for module in _LATENT_PROJECTIONS if _shape_differs(tensors, parameters, f"{module}.weight")
    )
    new = [
        name
        for name in parameters
        if name.startswith(other_projections)
        or (from_image_model and name.endswith(_TEMPORAL))
        or (name.startswith(_NULL_CAPTION) and name not in tensors)
    ]
    initial = {
        name: _grow(name, tensor, parameters[name]) if name in parameters else tensor
        for name, tensor in tensors.items()
    }
    initial |= {
        name: torch.zeros_like(parameters[name]) if name.endswith(_TEMPORAL) else parameters[name] for name in new
    }
    check_tensors(parameters, initial, source)
    model.load_state_dict(initial)
    return new


def _shape_differs(tensors: Mapping[str, Tensor], parameters: Mapping[str, Tensor], name: str) -> bool:
    """Returns whether a tensor is present in another shape; `check_tensors` reports missing tensors."""
    return name in tensors and tensors[name].shape != parameters[name].shape


def _grow(name: str, old: Tensor, new: Tensor) -> Tensor:
    """Returns `old` in the shape of `new` if `new` has a wider feed-forward; otherwise `old` unchanged."""
    if old.ndim != new.ndim:
        return old
    if name.endswith(_HIDDEN_OUTPUT) and len(old) == len(new) and old.shape[1] < new.shape[1]:
        grown = torch.zeros_like(new)
        grown[:, : old.shape[1]] = old
        return grown
    if name.endswith(_HIDDEN_INPUTS) and old.shape[1:] == new.shape[1:] and len(old) < len(new) and len(old) % 2 == 0:
        grown = new.clone()
        for half, old_half in zip(grown.chunk(2), old.chunk(2), strict=True):  # values, then gates
            half[: len(old_half)] = old_half
        return grown
    return old
