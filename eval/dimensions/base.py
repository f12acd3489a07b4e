"""Interface of a dimension: measures one decoded video at a time and averages the results into a score."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from framemill.platform.errors import FramemillError

if TYPE_CHECKING:
    import numpy as np


class CannotMeasure(FramemillError):
    """A dimension is undefined on a readable video, e.g. on a single frame if the dimension compares frames."""


@dataclass(frozen=True)
class DecodedVideo:
    """One decoded video, shared by all dimensions that measure it."""

    frames: np.ndarray
    """uint8 (T, H, W, 3), RGB, upright."""
    fps: float
    """Frames per second."""
    prompt: str
    """Text that the video was generated from."""


@dataclass(frozen=True)
class DimensionResult:
    """Result of one dimension on one video.

    The fields are the keys of a video's entry in VBench's result file. A dimension whose entry has more keys, or whose
    `aggregate` needs more than the mean, returns a subclass with more fields, whose values must be plain JSON values.
    """

    video_results: float
    """Raw score of the video."""


R = TypeVar("R", bound=DimensionResult)


class Dimension(ABC, Generic[R]):
    """One dimension of VBench.

    To add a dimension, write a file like `temporal_flickering.py` and name its class in `registry.py`.
    """

    version: ClassVar[int] = 1
    """Version of the code. Increase it when `measure` returns other results: older results are then measured again."""
    result_type: ClassVar[type[DimensionResult]] = DimensionResult
    """Class of the results, used to read results from the ledger."""

    @abstractmethod
    def measure(self, video: DecodedVideo) -> R:
        """Returns the result of one video.

        Raises:
            CannotMeasure: the dimension is undefined on this video.
        """

    def aggregate(self, results: Sequence[R]) -> float:
        """Returns the dimension's score in 0..1 from the results of all videos, in the suite's order.

        An implementation follows upstream's single-process formula. The default is the mean over videos.
        """
        return sum(result.video_results for result in results) / len(results)
