"""From noise to latents: classifier-free guidance around a flow solver of diffusers.

A bidirectional model makes a whole video at once (`sample`). A block-causal one makes it block by block (`stream`): of
what came before it keeps a state of constant size, so that a minute takes the memory of a second. Either may begin from
a picture: its latent frame stands clean at timestep 0 while the others come out of the noise.

Shapes: B batch, C latent channels, T latent frames, H and W latent rows and columns, L text tokens, D text width.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from framemill.platform.errors import RequestError

if TYPE_CHECKING:
    from framemill.training.model import LinearDiT
    from framemill.training.model.caption import Caption

Scheduler = Any  # a scheduler of diffusers, whose methods it does not type
Velocity = Callable[[Tensor, Tensor], list[Tensor]]
"""(latents, timestep) -> the velocity under the text and, where there is guidance, under the null text."""

FLOW_SHIFT = 8.0  # of SANA-Video's inference; training shifts by 3
SOLVERS = {"dpm": "DPMSolverMultistepScheduler", "euler": "FlowMatchEulerDiscreteScheduler"}


@torch.inference_mode()
def sample(
    model: LinearDiT,
    text: Tensor,
    mask: Tensor,
    null_text: Tensor,
    null_mask: Tensor,
    shape: tuple[int, int, int, int, int],
    steps: int = 50,
    cfg: float = 6.0,
    scheduler: Scheduler | None = None,
    generator: torch.Generator | None = None,
    first: Tensor | None = None,
) -> Tensor:
    """Latents `shape` (B, C, T, H, W), float32, drawn with `generator` and denoised in `steps` steps.

    text (B, L, D) and mask (B, L) say what to show; null_text and null_mask, of the same or of another length, what
    the guidance moves away from: v = v_null + cfg (v_text - v_null). A cfg of 1 or less asks the text alone. `first`
    (B, C, 1, H, W) is the clean latent of a picture that the video begins with.
    """
    captions = read_captions(model, (text, mask), (null_text, null_mask) if cfg > 1 else None)

    def velocities(x: Tensor, timestep: Tensor) -> list[Tensor]:
        return [model(x, timestep, caption) for caption in captions]

    x = draw_noise(model, shape, generator)
    return denoise(velocities, x, first, steps, cfg, scheduler)


@torch.inference_mode()
def stream(
    model: LinearDiT,
    text: Tensor,
    mask: Tensor,
    null_text: Tensor,
    null_mask: Tensor,
    shape: tuple[int, int, int, int, int],
    blocks: Sequence[int],
    steps: int = 50,
    cfg: float = 6.0,
    scheduler: Scheduler | None = None,
    generator: torch.Generator | None = None,
    first: Tensor | None = None,
) -> Iterator[Tensor]:
    """As `sample`, for a block-causal model: the latents of one block after the other, each as soon as it is done.

    `blocks` are the blocks' first frames, rising from 0. Each block is denoised on the state of those before it; then
    one more call at timestep 0 folds it, clean, into that state.
    """
    captions = read_captions(model, (text, mask), (null_text, null_mask) if cfg > 1 else None)
    batch, channels, frames, height, width = shape
    states = [model.new_state(batch, height, width) for _ in captions]

    def velocities(x: Tensor, timestep: Tensor) -> list[Tensor]:
        return [
            model.step(x, timestep, caption, None, state, commit=False)[0]
            for caption, state in zip(captions, states, strict=True)
        ]

    for start, end in pairwise([*blocks, frames]):
        x = draw_noise(model, (batch, channels, end - start, height, width), generator)
        x = denoise(velocities, x, first if start == 0 else None, steps, cfg, scheduler)
        yield x
        if end < frames:
            states = [
                model.step(x, x.new_zeros(batch), caption, None, state, commit=True)[1]
                for caption, state in zip(captions, states, strict=True)
            ]


def denoise(
    velocities: Velocity, x: Tensor, first: Tensor | None, steps: int, cfg: float, scheduler: Scheduler | None
) -> Tensor:
    """Noise x (B, C, T, H, W) as clean latents; where there is a `first` frame, it takes the place of the noise's."""
    # A scheduler counts its steps: each video and each block takes its own.
    scheduler = copy.deepcopy(scheduler) if scheduler is not None else flow_scheduler(FLOW_SHIFT)
    scheduler.set_timesteps(steps, device="cpu")
    noisy = x.new_ones(len(x), 1)  # 0 at frames that are given
    given = 0
    if first is not None:
        given = first.shape[2]
        x = torch.cat((first.to(x), x[:, :, given:]), dim=2)
        noisy = x.new_ones(len(x), x.shape[2])
        noisy[:, :given] = 0
        if given == x.shape[2]:
            return x
    for t in scheduler.timesteps:
        v, *v_null = velocities(x, float(t) * noisy)
        if v_null:
            v = v_null[0] + cfg * (v - v_null[0])
        moved = scheduler.step(v[:, :, given:].float(), t, x[:, :, given:], return_dict=False)[0]
        x = torch.cat((x[:, :, :given], moved), dim=2)
    return x


def read_captions(model: LinearDiT, given: tuple[Tensor, Tensor], null: tuple[Tensor, Tensor] | None) -> list[Caption]:
    """The texts, each (text, mask), as the model's blocks read them: once for all steps and blocks."""
    device = next(model.parameters()).device
    return [model.read_caption(text.to(device), mask.to(device)) for text, mask in filter(None, (given, null))]


def draw_noise(model: LinearDiT, shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
    """Noise from the generator's device, brought to the model's: the same whichever that is."""
    noise = torch.randn(shape, generator=generator, device=generator.device if generator else "cpu")
    return noise.to(next(model.parameters()).device)


def flow_scheduler(flow_shift: float, solver: str = "dpm") -> Scheduler:
    """A solver with that flow shift: "dpm", DPM-Solver++ of order 2 over flow sigmas, as the released text-to-video
    pipelines have it, or "euler", as those of image to video have it.
    """
    if solver == "euler":
        from diffusers import FlowMatchEulerDiscreteScheduler

        return FlowMatchEulerDiscreteScheduler(shift=flow_shift)
    from diffusers import DPMSolverMultistepScheduler

    return DPMSolverMultistepScheduler(flow_shift=flow_shift, use_flow_sigmas=True, prediction_type="flow_prediction")


def save_scheduler(folder: str | PathLike[str], flow_shift: float = FLOW_SHIFT, solver: str = "dpm") -> None:
    """Writes a scheduler folder that diffusers' pipelines and `load_scheduler` read."""
    flow_scheduler(flow_shift, solver).save_pretrained(folder)


def load_scheduler(folder: str | PathLike[str]) -> Scheduler:
    """Reads a scheduler folder.

    Raises:
        RequestError: there is none, or it is neither a DPM-Solver over flow sigmas nor a flow-matching Euler.
    """
    import diffusers

    path = Path(folder) / "scheduler_config.json"
    if not path.exists():
        raise RequestError(f"{folder}: holds no scheduler_config.json")
    config = json.loads(path.read_text())
    name = config.get("_class_name")
    if name not in SOLVERS.values():
        raise RequestError(f"{folder}: scheduler _class_name={name}: may be {', '.join(SOLVERS.values())}")
    if name == SOLVERS["dpm"]:
        kind = (config.get("prediction_type"), config.get("use_flow_sigmas"))
        if kind != ("flow_prediction", True):
            raise RequestError(
                f"{folder}: scheduler (prediction_type, use_flow_sigmas) is {kind}, not ('flow_prediction', True)"
            )
    return getattr(diffusers, name).from_config(config)
