"""Activation checkpointing: which activations the forward pass keeps, and which the backward pass recomputes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

POLICIES = ("none", "selective", "full")
"""none: only the pointwise operations between projections are recomputed; selective: also each MixFFN, from its input;
full: every transformer block, from its input."""


def recompute_in_backward(function: Callable[..., Any], *inputs: Any) -> Any:
    """Returns `function(*inputs)`; autograd keeps only the inputs, and the backward pass calls the function again.

    The random state is not restored for the second call, since nothing in the model draws random numbers.
    """
    if not torch.is_grad_enabled():
        return function(*inputs)
    return checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=False)


def recompute_pointwise(function: Callable[..., Any], *inputs: Any) -> Any:
    """Returns `function(*inputs)` for pointwise operations, which are recomputed under every policy.

    Pointwise operations take 1 % of a training step's time, and their activations would take 40 % of the memory.
    torch.compile fuses and recomputes pointwise operations itself, so compiled code calls the function directly.
    """
    return function(*inputs) if torch.compiler.is_compiling() else recompute_in_backward(function, *inputs)
