"""What the driver of a curation and its caption workers send each other, as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from framemill.data_filters.captions.base import Answer
from framemill.data_filters.sources.source import Source


@dataclass(frozen=True)
class CaptionClip:
    """A clip that a model is to be asked about."""

    key: str
    start_s: float
    frames: int
    answers: list[Answer]
    """Answers recorded earlier, all of which failed the checks."""


@dataclass(frozen=True)
class SourceClips:
    """Clips of one source, which is fetched once for all of them."""

    source: Source
    clips: list[CaptionClip]


@dataclass(frozen=True)
class CaptionBatch:
    """One item of a `CaptionWorker`."""

    name: str
    """Name of the file that the answers are recorded in."""
    sources: list[SourceClips]

    @property
    def size(self) -> int:
        """The number of clips."""
        return sum(len(one.clips) for one in self.sources)

    def to_json(self) -> str:
        """Returns the batch as text."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> CaptionBatch:
        """Returns the batch of `to_json`."""
        values = json.loads(text)
        sources = [
            SourceClips(Source(**one["source"]), [_clip_from(clip) for clip in one["clips"]])
            for one in values["sources"]
        ]
        return CaptionBatch(values["name"], sources)


@dataclass(frozen=True)
class CaptionResult:
    """What became of a batch. The answers themselves are in the batch's file."""

    clips: int
    """Number of clips in the batch."""
    pending: dict[str, str]
    """Reason by key of the clips that got no answer and may get one later."""
    failed: dict[str, str]
    """Error by key of the clips whose frames cannot be read."""
    gone: bool
    """Whether the model stopped answering, so that no further batch need be sent."""

    def to_json(self) -> str:
        """Returns the result as text."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> CaptionResult:
        """Returns the result of `to_json`."""
        return CaptionResult(**json.loads(text))


def _clip_from(values: dict[str, Any]) -> CaptionClip:
    return CaptionClip(**{**values, "answers": [Answer(**answer) for answer in values["answers"]]})
