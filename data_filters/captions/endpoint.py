"""The captioner `endpoint`: any server that speaks OpenAI's chat completions, such as vLLM with Qwen2.5-VL.

What a busy or broken server does (429, 5xx, a dropped connection, silence, text without end, what is no JSON) is tried
again after a growing wait; what it says of the request itself (400, 401, 403, 404) will not change by asking again.
"""

from __future__ import annotations

import asyncio
import base64
import email.utils
import hashlib
import json
import os
import time
from typing import Any

import aiohttp

from framemill.data_filters.captions.base import Answer
from framemill.data_filters.captions.checks import FILTERED_BY_SERVER
from framemill.data_filters.captions.config import CaptionConfig
from framemill.platform.errors import RequestError
from framemill.platform.retry import RetryLater

LONGEST_WAIT_S = 60.0
LONGEST_ASKED_WAIT_S = 300.0
"""A server's Retry-After is honoured up to here."""
MOST_BYTES = 1 << 20
"""A caption is a few hundred bytes: a longer reply is a server gone wrong, and is not read on."""
ANOTHER = 0.7
"""Temperature of a second answer: the likeliest one, which 0 gives, was found wanting."""
TRY_AGAIN = (408, 409, 425, 429)


class Busy(Exception):
    """No use was made of a request. The message says why; `wait_s` is how long the server asks for."""

    def __init__(self, message: str, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class Endpoint:
    def __init__(self, settings: CaptionConfig) -> None:
        self.settings = settings
        self.url = settings.url.rstrip("/") + "/chat/completions"
        self.secret = os.environ.get(settings.api_key_env, "") if settings.api_key_env else ""
        self.session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Endpoint:
        name = self.settings.api_key_env
        if name and not self.secret:
            raise RequestError(f"caption.api_key_env={name}: this variable is not set where the workers run")
        self.session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self.settings.timeout_s),
            connector=aiohttp.TCPConnector(limit=0),
            headers={"Authorization": f"Bearer {self.secret}"} if self.secret else {},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.session is not None:
            await self.session.close()

    async def ask(self, key: str, frames: list[bytes], nth: int) -> Answer:
        """See CaptionModel.ask."""
        body = self.request(frames, nth)
        for attempt in range(1, self.settings.attempts + 1):
            try:
                text, finish = await self.post(body)
                return Answer(key, text, finish)
            except Busy as error:
                if attempt == self.settings.attempts:
                    raise RetryLater(f"{error}, {attempt} times") from error
                await asyncio.sleep(max(error.wait_s, backoff_s(self.settings.backoff_s, key, attempt)))
        raise AssertionError("unreachable")

    def request(self, frames: list[bytes], nth: int) -> dict[str, Any]:
        pictures = [
            {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()}}
            for jpeg in frames
        ]
        return {
            "model": self.settings.served_model,
            "messages": [{"role": "user", "content": [*pictures, {"type": "text", "text": self.settings.prompt}]}],
            "max_tokens": self.settings.max_tokens,
            "temperature": ANOTHER if nth else 0.0,
            "seed": self.settings.seed + nth,
        }

    async def post(self, body: dict[str, Any]) -> tuple[str, str]:
        """(text, why it stopped) of one request.

        Raises:
            Busy: no answer, or none that can be used.
            RequestError: the server will not answer such requests.
        """
        assert self.session is not None
        try:
            # Redirects are not followed: the key is for the host that was named.
            async with self.session.post(self.url, json=body, allow_redirects=False) as response:
                data = await read_limited(response)
        except TimeoutError as error:
            raise Busy(f"no answer within {self.settings.timeout_s:g} s") from error
        except aiohttp.InvalidURL as error:
            raise RequestError(f"caption.url={self.settings.url}: is no URL") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Busy(f"{type(error).__name__}: {error}") from error
        if response.status == 200:
            return read_choice(data)
        if response.status >= 500 or response.status in TRY_AGAIN:
            raise Busy(f"status {response.status}", asked_wait_s(response.headers.get("Retry-After", "")))
        if response.status == 400 and is_content_filter(data):
            return "", FILTERED_BY_SERVER
        said = error_message(data)
        said = said.replace(self.secret, "***") if self.secret else said
        raise RequestError(f"caption.url={self.settings.url}: the server answers {response.status}: {said}")


async def read_limited(response: aiohttp.ClientResponse) -> bytes:
    """The body; Busy where it does not end in time for memory's sake."""
    data = bytearray()
    async for chunk in response.content.iter_any():
        data += chunk
        if len(data) > MOST_BYTES:
            response.close()
            raise Busy("a reply without end")
    return bytes(data)


def read_choice(data: bytes) -> tuple[str, str]:
    """The text of a reply, and why it ends there; Busy where it is no reply at all. An empty text is an answer."""
    try:
        choice = json.loads(data)["choices"][0]
        text, finish = choice["message"]["content"], choice.get("finish_reason")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise Busy("a reply that is no chat completion") from error
    if text is None and finish == FILTERED_BY_SERVER:
        text = ""
    if not isinstance(text, str):
        raise Busy("a reply without text")
    # Lone surrogates, which JSON can spell, are no text that a file could hold.
    return text.encode("utf-8", "replace").decode(), str(finish or "stop")


def is_content_filter(data: bytes) -> bool:
    """Whether a 400 is about what the pictures show, not about the request: some servers refuse so."""
    return any(code in data for code in (b'"content_filter"', b'"content_policy_violation"'))


def error_message(data: bytes) -> str:
    """What a server says of an error, on one line."""
    try:
        error = json.loads(data)
        error = error.get("error", error)
        said = error.get("message", error) if isinstance(error, dict) else error
    except (ValueError, AttributeError):
        said = data.decode("utf-8", "replace")
    return " ".join(str(said).split())[:200] or "nothing more"


def asked_wait_s(retry_after: str) -> float:
    """Seconds that a Retry-After header asks for, which holds a number or a date; 0 where it says neither."""
    try:
        wait = float(retry_after)
    except ValueError:
        try:
            wait = email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time()
        except (ValueError, TypeError):
            return 0.0
    return min(max(wait, 0.0), LONGEST_ASKED_WAIT_S) if wait == wait else 0.0


def backoff_s(first: float, key: str, attempt: int) -> float:
    """1, 2, 4 ... times the first wait; each clip in its own place in the upper half, so that they come back apart."""
    spread = hashlib.blake2b(f"{key} {attempt}".encode(), digest_size=2).digest()
    share = 0.5 + int.from_bytes(spread, "big") / 2**17
    return min(first * 2 ** (attempt - 1), LONGEST_WAIT_S) * share
