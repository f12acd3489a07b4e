"""What a dimension is: one small class that turns a decoded video into numbers, and many such numbers into a score."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from framemill.platform.errors import FramemillError

if TYPE_CHECKING:
    import numpy as np


class CannotMeasure(FramemillError):
    """A sound video that this dimension has no answer for, e.g. a single frame where it compares two."""


@dataclass(frozen=True)
class Clip:
    """One decoded video, shared by all dimensions that score it.

    frames: uint8 (T, H, W, 3), RGB, upright. fps: frames a second. prompt: what it should show.
    """

    frames: np.ndarray
    fps: float
    prompt: str


class Dimension(ABC):
    """One dimension of VBench. Subclasses decorate themselves with `register` and fill in `name` and `measure`.

    `version` goes up whenever `measure` would answer differently: records of an older version are measured again.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1

    @abstractmethod
    def measure(self, clip: Clip) -> dict[str, Any]:
        """The JSON-able record of one video: `video_results`, as upstream's result file has it, and any extras.

        Raises CannotMeasure where the video has no answer.
        """

    def aggregate(self, results: Sequence[dict[str, Any]]) -> float:
        """The dimension's score in 0..1, from what `measure` returned for each video, in the suite's order.

        Always upstream's single-process formula; most often, as here, the mean over videos.
        """
        return sum(result["video_results"] for result in results) / len(results)


_registered: dict[str, type[Dimension]] = {}


def register(dimension: type[Dimension]) -> type[Dimension]:
    """Class decorator: makes a dimension known by its name."""
    _registered[dimension.name] = dimension
    return dimension


def measurable() -> tuple[str, ...]:
    """Names of the dimensions that can be measured here, sorted."""
    return tuple(sorted(_registered))


def dimension_class(name: str) -> type[Dimension]:
    """The class registered as `name`; KeyError for any other."""
    return _registered[name]
