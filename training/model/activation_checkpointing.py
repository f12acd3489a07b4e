"""What a training step keeps for its backward pass, and what it computes again instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

POLICIES = ("none", "selective", "full")
"""Nothing but the chains below; the feed-forward's wide activations too, from its input; or each transformer block,
from its own."""


def recompute_forward(function: Callable[..., Any], *inputs: Any) -> Any:
    """function(*inputs), of which the backward pass keeps the inputs only. Nothing in the model draws numbers."""
    if not torch.is_grad_enabled():
        return function(*inputs)
    return checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=False)


def recompute_pointwise(function: Callable[..., Any], *inputs: Any) -> Any:
    """The cheap operations between two projections, recomputed under every policy, as a fused kernel's would be.

    They take a hundredth of a training step's time and would hold two fifths of its memory. Compiled code sees to it by
    itself.
    """
    return function(*inputs) if torch.compiler.is_compiling() else recompute_forward(function, *inputs)
