"""What a score by a network is: the scorer, the frames it asks for, and what it returns."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from framemill.platform.frozen_config import result_values

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class ScorableClip:
    """What a scorer knows of a clip before its frames are read."""

    key: str
    start_s: float
    """Seconds from the source's first frame to the clip's."""
    frames: int
    """Number of frames of the source that the clip has."""
    width: int
    """Of the source's frames, upright, pixels."""
    height: int
    """Of the source's frames, upright, pixels."""


@dataclass(frozen=True)
class FrameRequest:
    """The call that reads the frames of a clip, made in a worker's child process."""

    function: str
    """"module:name" of a function that returns `SampledFrames`."""
    arguments: tuple[Any, ...]
    """Its arguments after the first, which is the path of the video file."""


@dataclass(frozen=True)
class SampledFrames:
    """Some frames of a clip, as a network sees them."""

    times: np.ndarray
    """float64 (N,): seconds since the source's first frame."""
    frames: np.ndarray
    """uint8 (N, h, w, 3) RGB, upright."""


@dataclass(frozen=True)
class Scores:
    """The scores of one clip."""

    numbers: dict[str, float]
    """By column of the clips table."""
    vectors: dict[str, Sequence[float] | np.ndarray] = field(default_factory=dict)
    """Embeddings, float (N,), by column of the clips table."""


class Scorer(Protocol):
    """A score of clips by a network. To add one, copy `flow_motion.py` and add a line to `SCORERS`.

    A scorer is created with a `ModelSpec` as its only argument and raises RequestError where the weights do not fit.
    """

    def frame_request(self, clip: ScorableClip) -> FrameRequest:
        """Returns how to read the frames of a clip that the network needs."""

    def score(self, sampled: SampledFrames) -> Scores:
        """Returns the scores of the clip whose frames these are."""


@dataclass(frozen=True)
class ModelSpec:
    """All that a scorer's result depends on besides the clip, and where its weights are stored."""

    scorer: str
    """Name in `SCORERS`."""
    section: Any
    """The scorer's section of the config."""
    device: str
    """"cpu" or "cuda"."""
    batch: int
    """Frames or frame pairs of a clip in one batch."""
    columns: tuple[str, ...] = ()
    """Columns of numbers that the scorer fills."""
    vectors: tuple[str, ...] = ()
    """Columns of embeddings that the scorer fills."""

    @property
    def name(self) -> str:
        """The scorer with eight hex digits over what determines the result: the folder of its scores."""
        values = {"device": self.device, "batch": self.batch, **result_values(self.section)}
        return f"{self.scorer}-{hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]}"
