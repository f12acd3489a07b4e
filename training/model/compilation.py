"""Regional compilation: torch.compile compiles one transformer block, and every layer runs the same code."""

from __future__ import annotations

import os
import shutil

import torch
from torch import nn

from framemill.platform.progress import say

COMPILERS = ("g++", "clang++")
"""C++ compilers, any of which torch.compile can use for a CPU. Triton, which it uses for a GPU, needs none of them."""


def compile_blocks(blocks: nn.ModuleList, device: torch.device) -> bool:
    """Marks the blocks for compilation at their first call, which takes about a minute; returns whether it did.

    Without a C++ compiler on a CPU the blocks stay as they are, and a line on standard output says so.

    All layers are alike, so torch compiles one block and not the whole depth as one graph. It compiles once more when
    the number of frames or blocks changes, then for any size.
    """
    if device.type == "cpu" and not any(map(shutil.which, (os.environ.get("CXX", ""), *COMPILERS))):
        say(f"compile: needs {' or '.join(COMPILERS)} on a CPU and found neither; the model runs uncompiled")
        return False
    for block in blocks:
        block.compile()
    return True
