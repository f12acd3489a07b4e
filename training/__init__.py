"""Training: latents, the Linear DiT, a curriculum of stages, videos from the trained model, conversion of weights.

The names below are imported when first used, so that reading a config loads neither torch nor Ray.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from framemill.training.curriculum import CurriculumConfig, StageConfig
    from framemill.training.encoding.config import EncodeConfig
    from framemill.training.encoding.encode import EncodeResult, encode
    from framemill.training.generation.config import GenerateConfig
    from framemill.training.generation.generate import GenerateResult, generate
    from framemill.training.run.config import TrainConfig
    from framemill.training.run.train import TrainResult, train
    from framemill.training.weights.config import ConvertConfig
    from framemill.training.weights.convert import ConvertResult, convert

__all__ = [
    "ConvertConfig",
    "ConvertResult",
    "CurriculumConfig",
    "EncodeConfig",
    "EncodeResult",
    "GenerateConfig",
    "GenerateResult",
    "StageConfig",
    "TrainConfig",
    "TrainResult",
    "convert",
    "encode",
    "generate",
    "train",
]

_MODULES = {
    "ConvertConfig": "weights.config",
    "ConvertResult": "weights.convert",
    "CurriculumConfig": "curriculum",
    "EncodeConfig": "encoding.config",
    "EncodeResult": "encoding.encode",
    "GenerateConfig": "generation.config",
    "GenerateResult": "generation.generate",
    "StageConfig": "curriculum",
    "TrainConfig": "run.config",
    "TrainResult": "run.train",
    "convert": "weights.convert",
    "encode": "encoding.encode",
    "generate": "generation.generate",
    "train": "run.train",
}
"""Module of each public name. No subpackage has the name of a function: importing it would hide the function."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
