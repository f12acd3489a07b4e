"""Sampling: from noise to latents, with classifier-free guidance (CFG) and a flow solver of diffusers.

A bidirectional model makes a whole video at once (`sample`). A block-causal model makes it block by block (`stream`),
with a state of constant size over earlier blocks, so that a minute of video takes the memory of a second. Both can
begin with an image: the image's latent frame stays clean, at timestep 0, while the other frames are denoised.

Shapes: B batch, C latent channels, T latent frames, H and W latent rows and columns, L text tokens, D text width.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from framemill.training.generation.scheduler import FLOW_SHIFT, Scheduler, flow_scheduler

if TYPE_CHECKING:
    from framemill.training.model import LinearDiT
    from framemill.training.model.caption import Caption

_Velocities = Callable[[Tensor, Tensor], list[Tensor]]
"""(latents, timestep) -> the velocity under the text and, with guidance, the velocity under the null text."""


@dataclass(frozen=True)
class SamplingRequest:
    """Conditions and parameters of sampling."""

    text: Tensor
    """(B, L, D): embeddings of the captions."""
    mask: Tensor
    """(B, L): 1 at tokens of `text`, 0 at padding."""
    null_text: Tensor
    """(B, L', D): embeddings of the text that guidance moves away from."""
    null_mask: Tensor
    """(B, L'): mask of `null_text`."""
    shape: tuple[int, int, int, int, int]
    """(B, C, T, H, W) of the latents."""
    steps: int = 50
    """Solver steps, for the video or for each block."""
    cfg: float = 6.0
    """Guidance scale: v = v_null + cfg (v_text - v_null). At 1 or less only v_text is computed."""
    scheduler: Scheduler | None = None
    """Flow solver; None: DPM-Solver++ with SANA-Video's flow shift."""
    generator: torch.Generator | None = None
    """Source of the noise; None: torch's default generator."""
    first: Tensor | None = None
    """(B, C, 1, H, W): clean latent of the image that the video begins with; None for text to video."""


@torch.inference_mode()
def sample(model: LinearDiT, request: SamplingRequest) -> Tensor:
    """Returns latents (B, C, T, H, W), float32, of videos whose frames are denoised together."""
    captions = _read_captions(model, request)

    def velocities(x: Tensor, timestep: Tensor) -> list[Tensor]:
        return [model(x, timestep, caption) for caption in captions]

    return _denoise(velocities, _noise(model, request.shape, request.generator), request.first, request)


@torch.inference_mode()
def stream(model: LinearDiT, request: SamplingRequest, blocks: Sequence[int]) -> Iterator[Tensor]:
    """Yields the latents of a video block by block, sampled from a block-causal model.

    Each block is denoised given the state over earlier blocks; one more call at timestep 0 then adds the clean block
    to the state.

    Args:
        model: block-causal model.
        request: conditions and parameters of sampling.
        blocks: first frame of each block, rising from 0.
    """
    captions = _read_captions(model, request)
    batch, channels, frames, height, width = request.shape
    states = [model.new_state(batch, height, width) for _ in captions]

    def velocities(x: Tensor, timestep: Tensor) -> list[Tensor]:
        return [
            model.step(x, timestep, caption, None, state, commit=False)[0]
            for caption, state in zip(captions, states, strict=True)
        ]

    for start, end in pairwise([*blocks, frames]):
        x = _noise(model, (batch, channels, end - start, height, width), request.generator)
        x = _denoise(velocities, x, request.first if start == 0 else None, request)
        yield x
        if end < frames:
            states = [
                model.step(x, x.new_zeros(batch), caption, None, state, commit=True)[1]
                for caption, state in zip(captions, states, strict=True)
            ]


def _denoise(velocities: _Velocities, x: Tensor, first: Tensor | None, request: SamplingRequest) -> Tensor:
    """Returns the latents denoised from noise x (B, C, T, H, W); `first` replaces the first frame of the noise."""
    # A scheduler counts steps, so each video and each block needs a separate scheduler.
    scheduler = copy.deepcopy(request.scheduler) if request.scheduler is not None else flow_scheduler(FLOW_SHIFT)
    scheduler.set_timesteps(request.steps, device="cpu")
    is_noisy = x.new_ones(len(x), 1)  # 0 at clean frames
    clean = 0
    if first is not None:
        clean = first.shape[2]
        x = torch.cat((first.to(x), x[:, :, clean:]), dim=2)
        is_noisy = x.new_ones(len(x), x.shape[2])
        is_noisy[:, :clean] = 0
        if clean == x.shape[2]:
            return x
    for t in scheduler.timesteps:
        v, *v_null = velocities(x, float(t) * is_noisy)
        if v_null:
            v = v_null[0] + request.cfg * (v - v_null[0])
        denoised = scheduler.step(v[:, :, clean:].float(), t, x[:, :, clean:], return_dict=False)[0]
        x = torch.cat((x[:, :, :clean], denoised), dim=2)
    return x


def _read_captions(model: LinearDiT, request: SamplingRequest) -> list[Caption]:
    """Returns the cross-attention keys and values of the text and, with guidance, of the null text."""
    device = next(model.parameters()).device
    texts = [(request.text, request.mask)]
    if request.cfg > 1:
        texts.append((request.null_text, request.null_mask))
    return [model.read_caption(text.to(device), mask.to(device)) for text, mask in texts]


def _noise(model: LinearDiT, shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
    """Returns noise on the model's device, sampled on the generator's device: equal on all model devices."""
    noise = torch.randn(shape, generator=generator, device=generator.device if generator else "cpu")
    return noise.to(next(model.parameters()).device)
