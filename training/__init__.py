"""Training: latents, the Linear DiT, a curriculum of stages, and what comes out of it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from framemill.training.curriculum import CurriculumConfig, StageConfig
    from framemill.training.run.config import TrainConfig
    from framemill.training.run.train import TrainResult, train

__all__ = ["CurriculumConfig", "StageConfig", "TrainConfig", "TrainResult", "train"]

HOMES = {
    "TrainConfig": "run.config",
    "CurriculumConfig": "curriculum",
    "StageConfig": "curriculum",
    "TrainResult": "run.train",
    "train": "run.train",
}


def __getattr__(name: str) -> Any:
    """Loads what is asked for and no more: a config alone is light."""
    if name in HOMES:
        return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
