"""The Linear DiT and diffusers' SanaVideoTransformer3DModel with the same weights, and a training step of either."""

from __future__ import annotations

import dataclasses
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import SanaVideoTransformer3DModel
from torch import Tensor, nn

from framemill.training.model import LinearDiT, LinearDiTConfig

TEXT_TOKENS = 300
"""Length of SANA-Video's captions, with padding."""

SMALL = LinearDiTConfig(
    num_attention_heads=8,
    attention_head_dim=64,
    num_layers=4,
    num_cross_attention_heads=8,
    cross_attention_head_dim=64,
    caption_channels=256,
    mlp_ratio=3.0,
    patch_size=(1, 1, 1),
)
"""Four layers of width 512: what a training step on 16,000 tokens of it takes fits in a laptop's memory."""


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What both models take; `timestep` is (B, 1, T, H, W) where diffusers is to have one for each frame."""

    latents: Tensor
    timestep: Tensor
    text: Tensor
    mask: Tensor


Step = Callable[[Inputs], Tensor]


def inputs(
    config: LinearDiTConfig, grid: tuple[int, int, int], device: str = "cpu", caption: int = TEXT_TOKENS
) -> Inputs:
    """One sample of that many latent frames, rows and columns, and a caption of `caption` tokens that are there."""
    generator = torch.Generator(device).manual_seed(0)
    latents = torch.randn(1, config.in_channels, *grid, generator=generator, device=device)
    text = torch.randn(1, TEXT_TOKENS, config.caption_channels, generator=generator, device=device)
    mask = torch.zeros(1, TEXT_TOKENS, dtype=torch.long)
    mask[:, :caption] = 1
    return Inputs(latents, torch.full((1,), 500.0, device=device), text, mask.to(device))


def per_frame(given: Inputs, ours: bool, patch: tuple[int, int, int]) -> Inputs:
    """The same with a timestep for each frame: diffusers wants them for each token."""
    frames, height, width = given.latents.shape[2:]
    timestep = torch.linspace(0, 1000, frames, device=given.latents.device)[None]
    if not ours:
        grid = (frames, height // patch[1], width // patch[2])
        timestep = timestep[:, None, :, None, None].expand(1, 1, *grid)
    return dataclasses.replace(given, timestep=timestep)


def framemill(config: LinearDiTConfig, checkpointing: str = "none") -> tuple[nn.Module, Step]:
    torch.manual_seed(0)
    model = LinearDiT(config)
    model.checkpointing = checkpointing
    return model, lambda given: model(given.latents, given.timestep, given.text, given.mask)


def diffusers(config: LinearDiTConfig, checkpointing: str = "none") -> tuple[nn.Module, Step]:
    values = {name: value for name, value in config.to_diffusers().items() if not name.startswith("_")}
    torch.manual_seed(0)
    model = SanaVideoTransformer3DModel(**values)
    if checkpointing == "full":
        model.enable_gradient_checkpointing()
    return model, lambda x: model(x.latents, x.text, x.timestep, encoder_attention_mask=x.mask, return_dict=False)[0]


EXACT_MEMORY = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
"""For processes whose memory is measured: what is freed goes back to the system at once, and leaves no holes."""

MODELS = {"framemill": framemill, "diffusers": diffusers}


def train(step: Step, given: Inputs) -> None:
    """Forward and backward of the flow loss; gradients add up."""
    (step(given) - given.latents).square().mean().backward()


def cpu_seconds(function: Callable[[], object]) -> float:
    began = time.process_time()
    function()
    return time.process_time() - began


def grown_mib(function: Callable[[], object]) -> float:
    """How far the process's resident memory rises above what it is now, MiB. Once a process: peaks do not go back.

    (getrusage's peak would not do: a child begins with its parent's.)
    """
    before = status_mib("VmRSS")
    function()
    return status_mib("VmHWM") - before


def status_mib(field: str) -> float:
    return int(re.findall(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) / 1024
