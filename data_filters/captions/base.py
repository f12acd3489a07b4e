"""The interface of model captioners, and the answer that they return. To add a captioner, copy `endpoint.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Answer:
    """A model's answer about a clip, recorded before the caption checks, which run each time it is read."""

    key: str
    """Key of the clip."""
    text: str
    finish: str
    """OpenAI's `finish_reason`: "stop", "length" (cut off) or "content_filter"."""


class CaptionModel(Protocol):
    """A captioner that runs a model on frames.

    A worker enters the captioner with `async with`, then calls `ask` for several clips concurrently.
    """

    async def __aenter__(self) -> object: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def ask(self, key: str, frames: list[bytes], nth: int) -> Answer:
        """Returns an answer about a clip.

        Args:
            key: key of the clip.
            frames: frames sampled from the clip, in order, as JPEGs.
            nth: number of earlier answers about the clip, all of which failed the checks. 0 decodes greedily; 1 and
                more sample with another seed, so that the answers differ.

        Raises:
            RetryLater: the model did not answer now; a later request may succeed.
            RequestError: no request can succeed, since the model, its URL, its API key or a setting is wrong.
        """
        ...
