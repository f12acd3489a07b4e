"""Regional compilation: torch compiles one transformer block, and every layer runs it."""

from __future__ import annotations

import os
import shutil

import torch
from torch import nn

from framemill.platform.progress import say

COMPILERS = ("g++", "clang++")
"""Either builds what torch generates for a CPU; a GPU's code is Triton's, which brings its own."""


def compile_blocks(blocks: nn.ModuleList, device: torch.device) -> bool:
    """Has the blocks compiled when they first run, a minute or so; says so and leaves them where that cannot be.

    Layers are alike, so that torch compiles once for all of them and not the whole depth as one graph. It does so
    again for another number of frames or blocks, and settles on code for any size after the second.
    """
    if device.type == "cpu" and not any(map(shutil.which, (os.environ.get("CXX", ""), *COMPILERS))):
        say(f"compile: needs one of {', '.join(COMPILERS)} on a CPU, and finds none: runs uncompiled")
        return False
    for block in blocks:
        block.compile()
    return True
