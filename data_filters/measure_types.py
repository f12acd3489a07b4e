"""What passes between a worker and the child that measures for it."""

from __future__ import annotations

from dataclasses import dataclass

from framemill.platform.vision.probe import VideoInfo


@dataclass(frozen=True)
class MeasureSettings:
    min_seconds: float
    max_seconds: float
    filters: tuple[str, ...]
    trim_s: float = 0.0


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
    thumbnail: bytes
    """A small JPEG of the middle frame."""


@dataclass(frozen=True)
class Ended:
    """The last thing said of a source: why it could not be read to its end, or None."""

    reason: str | None
    fps_varies: bool | None = None
    """Whether the steps between its frames differ; None where that is not known."""
