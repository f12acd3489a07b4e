"""The worker that requests captions from a model: one Ray actor with a child process that reads frames."""

from __future__ import annotations

import asyncio
import contextlib

from framemill.data_filters.captions.answer_store import AnswerFile
from framemill.data_filters.captions.base import CaptionModel
from framemill.data_filters.captions.choose import first_accepted
from framemill.data_filters.captions.config import CaptionConfig
from framemill.data_filters.captions.messages import CaptionBatch, CaptionClip, CaptionResult, SourceClips
from framemill.data_filters.captions.registry import CAPTIONERS
from framemill.data_filters.ledger.event_log import log_event
from framemill.data_filters.sources.source import fetch_source
from framemill.data_filters.sources.unchanged import require_unchanged, retry_source_errors
from framemill.platform import storage
from framemill.platform.child_process import ChildCrashed, ChildProcess
from framemill.platform.errors import RequestError
from framemill.platform.pools import PoolWorker, pending_reason
from framemill.platform.retry import RetryLater, call_with_retry
from framemill.platform.vision.video import VideoError
from framemill.platform.writer_lock import LockToken

GIVE_UP_AFTER = 8
"""Consecutive clips without an answer after which the model counts as gone, in addition to the concurrent requests."""
_READ_FRAMES = "framemill.data_filters.captions.frames:clip_jpegs"


class CaptionWorker(PoolWorker):
    """Processes batches of clips one by one and records each answer when it arrives."""

    def __init__(
        self, folder: str, token: LockToken, captioner: str, settings: CaptionConfig, slots: int, timeout_s: float
    ) -> None:
        """Creates the worker and its captioner; the model is loaded with the first batch.

        Args:
            folder: folder or URI of the recorded answers.
            token: the driver's lock on the output.
            captioner: name in `CAPTIONERS`.
            settings: the keys `caption.*`.
            slots: number of concurrent requests to the model.
            timeout_s: timeout for each message from the decoder process, in seconds.
        """
        self.folder, self.token, self.settings = folder, token, settings
        self.slots, self.timeout_s = slots, timeout_s
        self.model: CaptionModel = CAPTIONERS.load(captioner)(settings)
        self.child = ChildProcess()

    @staticmethod
    def name(item: str) -> str:
        """Returns the name of the batch."""
        return CaptionBatch.from_json(item).name

    def do(self, item: str) -> str:
        """Requests captions for a `CaptionBatch`, given as JSON, and returns the `CaptionResult` as JSON.

        Raises:
            RequestError: no request can succeed, since the model, its URL, its API key or a setting is wrong.
        """
        return asyncio.run(_BatchRun(self, CaptionBatch.from_json(item)).run()).to_json()


class _BatchRun:
    """The run of one batch: clips are read one after another, with up to `slots` concurrent requests to the model."""

    def __init__(self, worker: CaptionWorker, batch: CaptionBatch) -> None:
        self.worker, self.settings, self.batch = worker, worker.settings, batch
        self.file = AnswerFile(storage.join(worker.folder, batch.name))
        self.slots = asyncio.Semaphore(worker.slots)
        self.pending: dict[str, str] = {}
        self.failed: dict[str, str] = {}
        self.request_error: RequestError | None = None
        self.unanswered = 0
        """Consecutive clips without an answer."""

    @property
    def gone(self) -> bool:
        return self.unanswered >= GIVE_UP_AFTER + self.worker.slots

    async def run(self) -> CaptionResult:
        try:
            async with self.worker.model, asyncio.TaskGroup() as tasks:
                for one in self.batch.sources:
                    await self._ask_about_source(one, tasks)
        except ExceptionGroup as group:
            # A lost lock or a full disk fails many tasks at once with the same error, so only the first is raised.
            raise group.exceptions[0] from None
        if self.request_error:
            raise self.request_error
        return CaptionResult(self.batch.size, self.pending, self.failed, self.gone)

    async def _ask_about_source(self, one: SourceClips, tasks: asyncio.TaskGroup) -> None:
        """Starts a request task for each clip of a source as soon as a slot is free."""
        async with contextlib.AsyncExitStack() as stack:
            try:
                with retry_source_errors():
                    require_unchanged(one.source)
                    copy = fetch_source(one.source.uri)
                    path = await asyncio.to_thread(copy.__enter__)
                    stack.callback(copy.__exit__, None, None, None)
            except Exception as error:
                self.pending |= dict.fromkeys((clip.key for clip in one.clips), pending_reason(error))
                return
            for clip in one.clips:
                await self.slots.acquire()
                frames = None
                if self.request_error or self.gone:
                    self.pending[clip.key] = "not asked, as others were not answered"
                else:
                    frames = await asyncio.to_thread(self._read_frames, path, clip)
                if frames is None:
                    self.slots.release()
                else:
                    tasks.create_task(self._ask_about_clip(clip, frames))

    def _read_frames(self, path: str, clip: CaptionClip) -> list[bytes] | None:
        """Returns the clip's frames as JPEGs; if they cannot be read, records the reason and returns None."""
        wanted = (clip.start_s, clip.frames, self.settings.frames, self.settings.max_side)
        child, timeout = self.worker.child, self.worker.timeout_s
        try:
            jpegs: list[bytes] = call_with_retry(child, _READ_FRAMES, path, *wanted, timeout=timeout)
            return jpegs
        except (VideoError, ChildCrashed) as error:
            self.failed[clip.key] = str(error)
        except Exception as error:
            self.pending[clip.key] = pending_reason(error)
        return None

    async def _ask_about_clip(self, clip: CaptionClip, frames: list[bytes]) -> None:
        """Requests answers until one passes the checks or `caption.answers` have failed; records each on arrival."""
        # A worker that Ray restarts gets its batch again, and continues after the answers that it recorded.
        answers = [*clip.answers, *(answer for answer in self.file.answers if answer.key == clip.key)]
        try:
            while len(answers) < self.settings.answers and first_accepted(answers, self.settings).text is None:
                answers.append(await self.worker.model.ask(clip.key, frames, nth=len(answers)))
                self.unanswered = 0
                # If another driver has taken over the output, its recorded answers must not change.
                self.worker.token.check()
                self.file.add(answers[-1])
                attempt = self.worker.token.attempt
                log_event(self.worker.token.output, event="answered", caption=clip.key, attempt=attempt)
        except RequestError as error:
            self.request_error = self.request_error or error
        except RetryLater as error:
            self.unanswered += 1
            self.pending[clip.key] = str(error)
        except Exception as error:
            self.pending[clip.key] = pending_reason(error)
        finally:
            self.slots.release()
