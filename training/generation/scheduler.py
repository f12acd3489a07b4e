"""Flow solvers of diffusers and the scheduler folders that configure them."""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path
from typing import Any

from framemill.platform.errors import RequestError

Scheduler = Any
"""A scheduler of diffusers; its methods have no types there."""

FLOW_SHIFT = 8.0
"""Flow shift of SANA-Video's inference; training uses 3."""
_SOLVER_CLASSES = {"dpm": "DPMSolverMultistepScheduler", "euler": "FlowMatchEulerDiscreteScheduler"}
"""Classes in diffusers by the solver's name."""


def flow_scheduler(flow_shift: float, solver: str = "dpm") -> Scheduler:
    """Returns a solver with a flow shift.

    Args:
        flow_shift: flow shift of the noise levels.
        solver: "dpm": DPM-Solver++ of order 2 over flow sigmas, as in the released text-to-video pipelines; "euler": as
            in the released image-to-video pipelines.
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
    """Returns the solver of a scheduler folder.

    Raises:
        RequestError: the folder has no scheduler, or a scheduler that is neither a DPM-Solver over flow sigmas nor a
            flow-matching Euler solver.
    """
    import diffusers

    path = Path(folder) / "scheduler_config.json"
    if not path.exists():
        raise RequestError(f"{folder}: must hold scheduler_config.json")
    config = json.loads(path.read_text())
    name = config.get("_class_name")
    if name not in _SOLVER_CLASSES.values():
        raise RequestError(f"{folder}: scheduler _class_name={name}: must be {' or '.join(_SOLVER_CLASSES.values())}")
    if name == _SOLVER_CLASSES["dpm"]:
        kind = (config.get("prediction_type"), config.get("use_flow_sigmas"))
        if kind != ("flow_prediction", True):
            raise RequestError(
                f"{folder}: scheduler (prediction_type, use_flow_sigmas) must be ('flow_prediction', True), is {kind}"
            )
    return getattr(diffusers, name).from_config(config)
