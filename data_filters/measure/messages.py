"""What passes between a worker and the child that measures for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from framemill.data_filters.measure.config import PrefilterConfig

from framemill.platform.vision.probe import VideoInfo


@dataclass(frozen=True)
class MeasureSettings:
    min_seconds: float
    max_seconds: float
    filters: tuple[str, ...]
    trim_s: float = 0.0
    screen: PrefilterConfig | None = None
    """The limits of the key-frame screen; None: every source is decoded whole."""


@dataclass(frozen=True)
class SourceFacts:
    source_id: str
    """sha256 of the file's content, hex."""
    video: VideoInfo | None = None
    """None where it cannot be read as video."""


@dataclass(frozen=True)
class MeasuredClip:
    start_s: float
    end_s: float
    first_frame: int
    frames: int
    width: int
    height: int
    fps: float
    scores: dict[str, float]
    description: str
    phashes: bytes
    """The perceptual hash of a frame each half second, without black bars: 16 bytes each, but none of blank frames."""
    thumbnail: bytes
    """A small JPEG of the middle frame."""


@dataclass(frozen=True)
class Ended:
    """The last thing said of a source: why it was not read to its end, or None where it was."""

    reason: str | None
    screened: bool = False
    """Whether that is because nothing in it could be kept, as the key-frame screen found; else it failed."""
    fps_varies: bool | None = None
    """Whether the steps between its frames differ; None where that is not known."""
