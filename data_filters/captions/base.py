"""What a captioner that looks at frames is, and what it may answer. To add one, copy `endpoint.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Answer:
    """What a model answered about a clip, as it is recorded: accepted or not, since the checks run when it is read."""

    key: str
    """Of the clip."""
    text: str
    finish: str
    """Why the answer ended, in OpenAI's words: "stop", "length" (cut off), "content_filter"."""


class CaptionModel(Protocol):
    """A model captioner. It is open (`async with`) while it is asked; a worker asks it about several clips at once."""

    async def __aenter__(self) -> object: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def ask(self, key: str, frames: list[bytes], nth: int) -> Answer:
        """Returns an answer about a clip.

        Args:
            key: of the clip.
            frames: some of its frames in order, JPEG.
            nth: number of earlier answers, all of which failed the checks. 0 asks for the likeliest answer; from 1 on
                the answer is sampled, so that it differs.

        Raises:
            RetryLater: the model gave no answer, and may give one later.
            RequestError: the model would answer about no clip: the model, its address or its key is wrong.
        """
        ...
