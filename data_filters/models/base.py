"""The interface of scorers: scores of clips by networks, the frames that they request, and their results."""

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
    """Properties of a clip that a scorer gets before the frames are read."""

    key: str
    start_s: float
    """Time of the clip's first frame, seconds since the source's first frame."""
    frames: int
    """Number of frames."""
    width: int
    """Width of the source's frames, upright, pixels."""
    height: int
    """Height of the source's frames, upright, pixels."""


@dataclass(frozen=True)
class FrameRequest:
    """The function call that reads the frames of a clip in a worker's decoder process."""

    function: str
    """"module:name" of a function that returns `SampledFrames`."""
    arguments: tuple[Any, ...]
    """Arguments of the function after the first, which is the path of the video file."""


@dataclass(frozen=True)
class SampledFrames:
    """Frames sampled from a clip as the input of a network."""

    times: np.ndarray
    """float64 (N,): times of the frames, seconds since the source's first frame."""
    frames: np.ndarray
    """uint8 (N, h, w, 3) RGB, upright."""


@dataclass(frozen=True)
class Scores:
    """Scores and embeddings of one clip."""

    numbers: dict[str, float]
    """Scores by column of the clips table."""
    vectors: dict[str, Sequence[float] | np.ndarray] = field(default_factory=dict)
    """Embeddings, float (N,), by column of the clips table."""


class Scorer(Protocol):
    """Interface of a scorer, which scores clips by a network.

    To add a scorer, copy `flow_motion.py` and add an entry to `SCORERS`. The constructor takes a `ModelSpec` as its
    only argument and loads the weights; it fails with a RequestError if the weights do not fit."""

    def frame_request(self, clip: ScorableClip) -> FrameRequest:
        """Returns the request for the frames of a clip that the network needs."""

    def score(self, sampled: SampledFrames) -> Scores:
        """Returns the scores of a clip from its sampled frames."""


@dataclass(frozen=True)
class ModelSpec:
    """Everything besides the clip that the result of a scorer depends on, including the paths of its weights."""

    scorer: str
    """Name of the scorer in `SCORERS`."""
    section: Any
    """The scorer's section of the config."""
    device: str
    """"cpu" or "cuda"."""
    batch: int
    """Batch size: frames or frame pairs of one clip."""
    columns: tuple[str, ...] = ()
    """Columns of scores that the scorer fills."""
    vectors: tuple[str, ...] = ()
    """Columns of embeddings that the scorer fills."""

    @property
    def name(self) -> str:
        """Name of the folder of the scorer's results: the scorer, and a digest of everything that determines them."""
        values = {"device": self.device, "batch": self.batch, **result_values(self.section)}
        return f"{self.scorer}-{hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]}"
