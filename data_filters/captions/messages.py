"""Messages between the driver of a curation and its caption workers, as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from framemill.data_filters.captions.base import Answer
from framemill.data_filters.sources.source import Source


@dataclass(frozen=True)
class CaptionClip:
    """A clip for which a caption is requested from a model."""

    key: str
    start_s: float
    """Time of the first frame, seconds since the source's first frame."""
    frames: int
    """Number of frames."""
    answers: list[Answer]
    """Answers recorded earlier, all of which failed the checks."""


@dataclass(frozen=True)
class SourceClips:
    """Clips of one source; a worker fetches the source once for all of them."""

    source: Source
    clips: list[CaptionClip]


@dataclass(frozen=True)
class CaptionBatch:
    """A batch of clips: one work item of a `CaptionWorker`."""

    name: str
    """Name of the file that the answers are recorded in."""
    sources: list[SourceClips]

    @property
    def size(self) -> int:
        """The number of clips."""
        return sum(len(one.clips) for one in self.sources)

    def to_json(self) -> str:
        """Returns the batch as JSON."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> CaptionBatch:
        """Returns the batch that `to_json` serialised."""
        values = json.loads(text)
        sources = [
            SourceClips(Source(**one["source"]), [_clip_from(clip) for clip in one["clips"]])
            for one in values["sources"]
        ]
        return CaptionBatch(values["name"], sources)


@dataclass(frozen=True)
class CaptionResult:
    """The outcome of a batch; the answers are in the batch's file, not in this message."""

    clips: int
    """Number of clips in the batch."""
    pending: dict[str, str]
    """Reasons by clip key, for clips without an answer that will be asked about again."""
    failed: dict[str, str]
    """Errors by clip key, for clips whose frames cannot be read."""
    gone: bool
    """Whether the model stopped answering, so that no further batch need be sent."""

    def to_json(self) -> str:
        """Returns the result as JSON."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> CaptionResult:
        """Returns the result that `to_json` serialised."""
        return CaptionResult(**json.loads(text))


def _clip_from(values: dict[str, Any]) -> CaptionClip:
    return CaptionClip(**{**values, "answers": [Answer(**answer) for answer in values["answers"]]})
