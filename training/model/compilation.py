"""Regional compilation: torch.compile compiles one transformer block, and all transformer blocks run the same code."""

from __future__ import annotations

import os
import shutil

import torch
from torch import nn

from framemill.platform.progress import say

COMPILERS = ("g++", "clang++")
"""C++ compilers, any of which torch.compile can use for a CPU. Triton, the compiler for a GPU, needs none of these."""


def compile_blocks(blocks: nn.ModuleList, device: torch.device) -> bool:
    """Marks the blocks for compilation at the first call (about a minute), and returns whether a compiler is present.

    Without a C++ compiler on a CPU the blocks run uncompiled, and a line on standard output reports this.

    All layers are alike, so torch compiles one block and not the whole depth as one graph. torch compiles once more
    when the number of frames or blocks changes, and that code is for any size.
    """
    if device.type == "cpu" and not any(map(shutil.which, (os.environ.get("CXX", ""), *COMPILERS))):
        say(f"compile: needs {' or '.join(COMPILERS)} on a CPU and found neither; the model runs uncompiled")
        return False
    for block in blocks:
        block.compile()
    return True
