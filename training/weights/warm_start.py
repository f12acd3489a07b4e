"""Weights of another model as the beginning of this one: SANA-Video's, or those of SANA's image models.

A wider feed-forward gets its new channels so that the function stays the same and they still learn: what leads into
them is random, what leads out of them zero. With zeros on both sides they would have neither output nor gradient,
ever. What an image model lacks, the temporal convolution, begins as zero; a first or last projection of another shape
begins as in a new model, and so does a learned null caption where the other has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike

import torch
from torch import Tensor

from framemill.platform.network_folder import check_tensors
from framemill.training.model.linear_dit import LinearDiT

ENDS = ("patch_embedding", "proj_out")
"""What the codec's latents decide the shape of."""
INTO = (".conv_inverted.weight", ".conv_inverted.bias", ".conv_depth.weight", ".conv_depth.bias")
OUT = ".conv_point.weight"
TEMPORAL = ".conv_temp.weight"
NULL_CAPTION = "null_caption."
"""Learned by few models: others take the text encoder's output for no text."""


@torch.no_grad()
def warm_start(model: LinearDiT, tensors: Mapping[str, Tensor], source: str | PathLike[str]) -> list[str]:
    """Gives a newly made model the weights of another, under diffusers' names. Returns the tensors that stay new.

    Raises:
        RequestError: a tensor is missing, extra or misshapen other than in the ways named above.
    """
    own = model.state_dict()
    image = not any(name.endswith(TEMPORAL) for name in tensors)
    other_ends = tuple(f"{end}." for end in ENDS if differs(tensors, own, f"{end}.weight"))
    new = [
        name
        for name in own
        if name.startswith(other_ends)
        or (image and name.endswith(TEMPORAL))
        or (name.startswith(NULL_CAPTION) and name not in tensors)
    ]
    started = {name: grow(name, tensor, own[name]) if name in own else tensor for name, tensor in tensors.items()}
    started |= {name: torch.zeros_like(own[name]) if name.endswith(TEMPORAL) else own[name] for name in new}
    check_tensors(own, started, source)
    model.load_state_dict(started)
    return new


def differs(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], name: str) -> bool:
    """Whether a tensor is there, in another shape. One that is missing is an error, and not for here."""
    return name in tensors and tensors[name].shape != own[name].shape


def grow(name: str, old: Tensor, new: Tensor) -> Tensor:
    """`old` in the shape of `new`, where that has a wider feed-forward; `old` as it is everywhere else."""
    if old.ndim != new.ndim:
        return old
    if name.endswith(OUT) and len(old) == len(new) and old.shape[1] < new.shape[1]:
        grown = torch.zeros_like(new)
        grown[:, : old.shape[1]] = old
        return grown
    if name.endswith(INTO) and old.shape[1:] == new.shape[1:] and len(old) < len(new) and len(old) % 2 == 0:
        grown = new.clone()
        for half, old_half in zip(grown.chunk(2), old.chunk(2), strict=True):  # values, then gates
            half[: len(old_half)] = old_half
        return grown
    return old
