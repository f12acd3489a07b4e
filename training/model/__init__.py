"""The Linear DiT of SANA-Video."""

from typing import TYPE_CHECKING, Any

from framemill.training.model.config import LinearDiTConfig

if TYPE_CHECKING:
    from framemill.training.model.linear_dit import LinearDiT

__all__ = ["LinearDiT", "LinearDiTConfig"]


def __getattr__(name: str) -> Any:
    """Imports the model, and torch, when `LinearDiT` is first used; the config needs neither."""
    if name == "LinearDiT":
        from framemill.training.model.linear_dit import LinearDiT

        return LinearDiT
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
