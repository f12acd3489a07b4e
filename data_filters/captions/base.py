"""What a captioner that looks at frames is, and what it may answer. The next one is a file like `endpoint.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Answer:
    """What a model said of a clip, as it is recorded: good or not, for the checks are made when it is read."""

    key: str
    """The clip's."""
    text: str
    finish: str
    """Why it stopped, in OpenAI's words: "stop", "length" (cut off), "content_filter"."""


class CaptionModel(Protocol):
    """Open (`async with`) while it is asked; a worker asks it about several clips at once."""

    async def __aenter__(self) -> object: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def ask(self, key: str, frames: list[bytes], nth: int) -> Answer:
        """What a clip's frames (JPEG, in order) show. `nth` answers were given before and found wanting: another is
        wanted then, where 0 asks for the likeliest.

        Raises:
            RetryLater: the model gave no answer, and may give one later.
            RequestError: no clip would be answered: the model, its address or its key is wrong.
        """
        ...
