"""What a training step keeps for its backward pass, and what it computes again instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

POLICIES = ("none", "selective", "full")
"""Keep everything; keep what matrix products read and give, of which all between is cheap to compute again; or keep
the input of each block, and compute all of it once more."""


def recomputed(function: Callable[..., Any], *inputs: Any) -> Any:
    """function(*inputs), of which the backward pass keeps the inputs only. Nothing in the model draws numbers."""
    if not torch.is_grad_enabled():
        return function(*inputs)
    return checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=False)


class Recomputing(nn.Module):
    """A module with chains of cheap operations between its matrix products."""

    recomputes = False

    def chain(self, function: Callable[..., Any], *inputs: Any) -> Any:
        """function(*inputs), recomputed where that is asked for. Compiled code sees to it by itself."""
        if self.recomputes and not torch.compiler.is_compiling():
            return recomputed(function, *inputs)
        return function(*inputs)
