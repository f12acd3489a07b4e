"""The captioner `endpoint`: any server with OpenAI's chat completions API, such as vLLM with Qwen2.5-VL.

Failures of the server (status 429 or 5xx, a dropped connection, a timeout, an endless reply, invalid JSON) are retried
with exponential backoff. Errors of the request itself (400, 401, 403, 404) end the job, since a retry cannot succeed.
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

MAX_RETRY_AFTER_S = 300.0
"""Maximum delay in seconds that is taken from a Retry-After header."""
_MAX_BACKOFF_S = 60.0
_MAX_REPLY_BYTES = 1 << 20
"""Maximum bytes read of a reply. A caption has a few hundred bytes, so a longer reply is an error of the server."""
_RETRY_TEMPERATURE = 0.7
"""Sampling temperature of all answers after the first, whose temperature is 0."""
_RETRY_STATUS = (408, 409, 425, 429)
"""HTTP statuses below 500 after which a request is retried."""


class _NoReply(Exception):
    """An attempt at a request failed and may be retried."""

    def __init__(self, message: str, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.wait_s = wait_s
        """Minimum delay in seconds before the next attempt, from the server's Retry-After header."""


class Endpoint:
    """Requests captions from a server over HTTP; all requests of a worker share one session."""

    def __init__(self, settings: CaptionConfig) -> None:
        """Creates the captioner; `async with` opens the session."""
        self.settings = settings
        self._url = settings.url.rstrip("/") + "/chat/completions"
        self._secret = os.environ.get(settings.api_key_env, "") if settings.api_key_env else ""
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Endpoint:
        name = self.settings.api_key_env
        if name and not self._secret:
            raise RequestError(f"caption.api_key_env={name}: must be a variable that is set where the workers run")
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self.settings.timeout_s),
            connector=aiohttp.TCPConnector(limit=0),
            headers={"Authorization": f"Bearer {self._secret}"} if self._secret else {},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def ask(self, key: str, frames: list[bytes], nth: int) -> Answer:
        """Returns the server's answer about a clip. The arguments are those of `CaptionModel.ask`.

        Raises:
            RetryLater: all attempts at the request failed.
            RequestError: the server refuses the request itself, for example for a wrong model name or API key.
        """
        body = self._request(frames, nth)
        for attempt in range(1, self.settings.attempts + 1):
            try:
                text, finish = await self._post(body)
                return Answer(key, text, finish)
            except _NoReply as error:
                if attempt == self.settings.attempts:
                    raise RetryLater(f"{error}, {attempt} times") from error
                await asyncio.sleep(max(error.wait_s, backoff_s(self.settings.backoff_s, key, attempt)))
        raise AssertionError("unreachable")

    def _request(self, frames: list[bytes], nth: int) -> dict[str, Any]:
        """Returns the body of a request."""
        images = [
            {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()}}
            for jpeg in frames
        ]
        return {
            "model": self.settings.served_model,
            "messages": [{"role": "user", "content": [*images, {"type": "text", "text": self.settings.prompt}]}],
            "max_tokens": self.settings.max_tokens,
            "temperature": _RETRY_TEMPERATURE if nth else 0.0,
            "seed": self.settings.seed + nth,
        }

    async def _post(self, body: dict[str, Any]) -> tuple[str, str]:
        """Returns the text and the `finish_reason` of the reply to one request.

        Raises:
            _NoReply: the server gave no reply, or an unusable reply.
            RequestError: the server refuses the request itself.
        """
        assert self._session is not None
        try:
            # Redirects are not followed, since they could send the API key to a host other than that of caption.url.
            async with self._session.post(self._url, json=body, allow_redirects=False) as response:
                data = await _read_limited(response)
        except TimeoutError as error:
            raise _NoReply(f"no answer within {self.settings.timeout_s:g} s") from error
        except aiohttp.InvalidURL as error:
            raise RequestError(f"caption.url={self.settings.url}: must be a URL") from error
        except (aiohttp.ClientError, OSError) as error:
            raise _NoReply(f"{type(error).__name__}: {error}") from error
        if response.status == 200:
            return _read_choice(data)
        if response.status >= 500 or response.status in _RETRY_STATUS:
            raise _NoReply(f"status {response.status}", retry_after_s(response.headers.get("Retry-After", "")))
        if response.status == 400 and _is_content_filter(data):
            return "", FILTERED_BY_SERVER
        message = _error_message(data)
        message = message.replace(self._secret, "***") if self._secret else message
        raise RequestError(f"caption.url={self.settings.url}: the server answers {response.status}: {message}")


def retry_after_s(header: str) -> float:
    """Returns the delay in seconds of a Retry-After header with a number of seconds or a date; 0 for any other text."""
    try:
        wait = float(header)
    except ValueError:
        try:
            wait = email.utils.parsedate_to_datetime(header).timestamp() - time.time()
        except (ValueError, TypeError):
            return 0.0
    return min(max(wait, 0.0), MAX_RETRY_AFTER_S) if wait == wait else 0.0


def backoff_s(first: float, key: str, attempt: int) -> float:
    """Returns the delay in seconds after a failed attempt, by exponential backoff with jitter.

    The delay is first * 2 ** (attempt - 1), at most 60 s, times a jitter of 0.5 to 1. The jitter is a hash of the key
    and the attempt, so that clips whose requests failed together are not retried together.
    """
    digest = hashlib.blake2b(f"{key} {attempt}".encode(), digest_size=2).digest()
    factor = 0.5 + int.from_bytes(digest, "big") / 2**17
    return min(first * 2 ** (attempt - 1), _MAX_BACKOFF_S) * factor


async def _read_limited(response: aiohttp.ClientResponse) -> bytes:
    """Returns the body of a reply.

    Raises:
        _NoReply: the body is longer than _MAX_REPLY_BYTES.
    """
    data = bytearray()
    async for chunk in response.content.iter_any():
        data += chunk
        if len(data) > _MAX_REPLY_BYTES:
            response.close()
            raise _NoReply("a reply without end")
    return bytes(data)


def _read_choice(data: bytes) -> tuple[str, str]:
    """Returns the text and the `finish_reason` of a chat completion; the text may be empty.

    Raises:
        _NoReply: the body is not a chat completion, or has no text.
    """
    try:
        choice = json.loads(data)["choices"][0]
        text, finish = choice["message"]["content"], choice.get("finish_reason")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise _NoReply("a reply that is no chat completion") from error
    if text is None and finish == FILTERED_BY_SERVER:
        text = ""
    if not isinstance(text, str):
        raise _NoReply("a reply without text")
    # JSON may contain lone surrogates, which cannot be encoded as UTF-8.
    return text.encode("utf-8", "replace").decode(), str(finish or "stop")


def _is_content_filter(data: bytes) -> bool:
    """Returns whether the body of a status 400 says that the content filter refused the frames."""
    return any(code in data for code in (b'"content_filter"', b'"content_policy_violation"'))


def _error_message(data: bytes) -> str:
    """Returns the message of a server's error, on one line."""
    try:
        error = json.loads(data)
        error = error.get("error", error)
        message = error.get("message", error) if isinstance(error, dict) else error
    except (ValueError, AttributeError):
        message = data.decode("utf-8", "replace")
    return " ".join(str(message).split())[:200] or "no message"
