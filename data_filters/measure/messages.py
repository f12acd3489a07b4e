"""What a worker sends to its decoder process, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from framemill.data_filters.measure.config import PrefilterConfig

from framemill.data_filters.ledger.reasons import Reason
from framemill.platform.vision.probe import VideoInfo


@dataclass(frozen=True)
class MeasureSettings:
    """How sources are split into clips and what is measured."""

    min_seconds: float
    """Least length of a usable clip."""
    max_seconds: float
    """Greatest length of a clip."""
    filters: tuple[str, ...]
    """Names in `FILTERS`."""
    trim_s: float = 0.0
    """Time before and after a transition that is in no clip, seconds."""
    keyframe_prefilter: PrefilterConfig | None = None
    """The limits of the key-frame pre-filter; None: every source is decoded whole."""


@dataclass(frozen=True)
class SourceFacts:
    """The first message about a source."""

    source_id: str
    """sha256 of the file's content, hex."""
    video: VideoInfo | None = None
    """None where the file cannot be read as video."""


@dataclass(frozen=True)
class MeasuredClip:
    """A clip with its scores: one message each."""

    start_s: float
    """Time of the first frame, seconds since the source's first frame."""
    end_s: float
    """Time at which the frame after the clip is shown."""
    first_frame: int
    """Index of the first frame in the source."""
    frames: int
    """Number of frames."""
    width: int
    """Of the source, upright, pixels."""
    height: int
    """Of the source, upright, pixels."""
    fps: float
    """Frames a second of the source."""
    scores: dict[str, float]
    """By column of the clips table."""
    description: str
    """A sentence made from the scores and colours."""
    phashes: bytes
    """Perceptual hashes of a frame each half second, without black bars: 16 bytes each, none of blank frames."""
    thumbnail: bytes
    """A small JPEG of the middle frame."""


@dataclass(frozen=True)
class Ended:
    """The last message about a source."""

    reason: Reason | None
    """Why the source failed or was rejected by the key-frame pre-filter; None where it was decoded to its end."""
    fps_varies: bool | None = None
    """Whether the steps between its frames differ; None where that is not known."""
