"""Messages between a measuring worker and its decoder process."""

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
    """Minimum length of a usable clip, seconds."""
    max_seconds: float
    """Maximum length of a clip, seconds."""
    filters: tuple[str, ...]
    """Names of filters in `FILTERS`."""
    trim_s: float = 0.0
    """Time before and after a transition that is excluded from clips, seconds."""
    keyframe_prefilter: PrefilterConfig | None = None
    """Limits of the key-frame pre-filter; None: the pre-filter is off."""


@dataclass(frozen=True)
class SourceFacts:
    """The first message about a source: its identity and video properties."""

    source_id: str
    """sha256 of the file's content, hex."""
    video: VideoInfo | None = None
    """Properties of the video; None if the file cannot be read as video."""


@dataclass(frozen=True)
class MeasuredClip:
    """A measured clip with its scores; the decoder process sends one message per clip."""

    start_s: float
    """Time of the first frame, seconds since the source's first frame."""
    end_s: float
    """Time at which the clip's last frame ends, seconds since the source's first frame."""
    first_frame: int
    """Index of the first frame in the source."""
    frames: int
    """Number of frames."""
    width: int
    """Width of the source, upright, pixels."""
    height: int
    """Height of the source, upright, pixels."""
    fps: float
    """Frame rate of the source, frames per second."""
    scores: dict[str, float]
    """Scores by column of the clips table."""
    description: str
    """Sentence of `describe`, made from the scores and colours."""
    phashes: bytes
    """Perceptual hashes of frames 0.5 s apart without black bars, 16 bytes each; blank frames have none."""
    thumbnail: bytes
    """Middle frame as a small JPEG."""


@dataclass(frozen=True)
class Ended:
    """The last message about a source: how its decode pass ended."""

    reason: Reason | None
    """Why the source failed or the key-frame pre-filter rejected it; None if it was decoded to its end."""
    fps_varies: bool | None = None
    """Whether the source has a variable frame rate; None if unknown."""
