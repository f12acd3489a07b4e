"""From noise to latents: classifier-free guidance around the flow DPM-Solver++ of diffusers.

Shapes: B batch, C latent channels, T latent frames, H and W latent rows and columns, L text tokens, D text width.
"""

from __future__ import annotations

import copy
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from framemill.platform.errors import RequestError

if TYPE_CHECKING:
    from framemill.training.model import LinearDiT

Scheduler = Any  # diffusers' DPMSolverMultistepScheduler, whose methods it does not type

FLOW_SHIFT = 8.0  # of SANA-Video's inference; training shifts by 3


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
) -> Tensor:
    """Latents `shape` (B, C, T, H, W), float32, drawn with `generator` and denoised in `steps` steps.

    text (B, L, D) and mask (B, L) say what to show; null_text and null_mask, of the same or of another length, what
    the guidance moves away from: v = v_null + cfg (v_text - v_null). A cfg of 1 or less asks the text alone.
    """
    device = next(model.parameters()).device
    # A scheduler counts its steps: each sample takes its own.
    scheduler = copy.deepcopy(scheduler) if scheduler is not None else flow_scheduler(FLOW_SHIFT)
    scheduler.set_timesteps(steps, device="cpu")
    text, mask, null_text, null_mask = (part.to(device) for part in (text, mask, null_text, null_mask))
    x = torch.randn(shape, generator=generator, device=generator.device if generator else "cpu").to(device)
    for t in scheduler.timesteps:
        timestep = torch.full((shape[0],), float(t), device=device)
        v = model(x, timestep, text, mask)
        if cfg > 1:
            v_null = model(x, timestep, null_text, null_mask)
            v = v_null + cfg * (v - v_null)
        x = scheduler.step(v.float(), t, x, return_dict=False)[0]
    return x


def flow_scheduler(flow_shift: float) -> Scheduler:
    """DPM-Solver++ of order 2 over flow sigmas, as the released SANA-Video pipelines have it."""
    from diffusers import DPMSolverMultistepScheduler

    return DPMSolverMultistepScheduler(flow_shift=flow_shift, use_flow_sigmas=True, prediction_type="flow_prediction")


def save_scheduler(folder: str | PathLike[str], flow_shift: float = FLOW_SHIFT) -> None:
    """Writes a scheduler folder that diffusers' pipelines and `load_scheduler` read."""
    flow_scheduler(flow_shift).save_pretrained(folder)


def load_scheduler(folder: str | PathLike[str]) -> Scheduler:
    """Reads a scheduler folder.

    Raises:
        RequestError: there is none, or it is not a DPM-Solver over flow sigmas.
    """
    from diffusers import DPMSolverMultistepScheduler

    if not (Path(folder) / "scheduler_config.json").exists():
        raise RequestError(f"{folder}: holds no scheduler_config.json")
    config = DPMSolverMultistepScheduler.load_config(folder)
    kind = (config["_class_name"], config.get("prediction_type"), config.get("use_flow_sigmas"))
    wanted = ("DPMSolverMultistepScheduler", "flow_prediction", True)
    if kind != wanted:
        raise RequestError(f"{folder}: scheduler (class, prediction_type, use_flow_sigmas) is {kind}, not {wanted}")
    return DPMSolverMultistepScheduler.from_config(config)
