"""The worker that asks a model for captions: one Ray actor with a child that reads frames and may hang or crash."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from typing import Any

from framemill.data_filters.captions import load_model
from framemill.data_filters.captions.answer_store import AnswerFile
from framemill.data_filters.captions.base import Answer, NoAnswer
from framemill.data_filters.captions.choose import accepted
from framemill.data_filters.captions.config import CaptionConfig
from framemill.data_filters.ledger.parts import log_event
from framemill.data_filters.measure.worker import GONE
from framemill.data_filters.sources.source import fetch_source, is_gone, source_stamp
from framemill.platform import storage
from framemill.platform.child_process import ChildCrashed, ChildProcess
from framemill.platform.errors import RequestError
from framemill.platform.pools import PoolWorker
from framemill.platform.retry import RetryLater, call_with_retry
from framemill.platform.vision.video import VideoError
from framemill.platform.writer_lock import LockToken

GIVE_UP = 8
"""Clips one after another, and as many as are asked about at once, that get no answer: the model is gone."""
Row = dict[str, Any]


class CaptionWorker(PoolWorker):
    """Takes batches of clips one by one and records each answer as it comes."""

    def __init__(
        self, folder: str, token: LockToken, captioner: str, settings: CaptionConfig, slots: int, timeout_s: float
    ) -> None:
        self.folder, self.token, self.settings = folder, token, settings
        self.slots, self.timeout_s = slots, timeout_s
        self.model = load_model(captioner, settings)
        self.child = ChildProcess()

    def name(self, item: str) -> str:
        """Returns the name of the batch."""
        return str(json.loads(item)["name"])

    def do(self, item: str) -> str:
        """Asks about a batch of clips; returns as JSON how many clips it `asked` about, those `pending` and `failed`
        with the reason, whether the model is `gone`, and what is `wrong` with the request or ""."""
        return json.dumps(asyncio.run(Batch(self, json.loads(item)).run()))


class Batch:
    """The clips of one batch: read one after another, asked about `slots` at once."""

    def __init__(self, worker: CaptionWorker, work: Row) -> None:
        self.worker, self.settings = worker, worker.settings
        self.clips: list[Row] = work["clips"]
        self.file = AnswerFile(storage.join(worker.folder, work["name"]))
        self.slots = asyncio.Semaphore(worker.slots)
        self.pending: dict[str, str] = {}
        self.failed: dict[str, str] = {}
        self.wrong = ""
        self.unanswered = 0

    @property
    def gone(self) -> bool:
        return self.unanswered >= GIVE_UP + self.worker.slots

    async def run(self) -> Row:
        try:
            async with self.worker.model, asyncio.TaskGroup() as tasks:
                for _, clips in itertools.groupby(self.clips, key=lambda clip: clip["uri"]):
                    await self.ask_about_source(list(clips), tasks)
        except RequestError as error:  # as the model is opened
            self.wrong = str(error)
        except ExceptionGroup as group:  # a later driver, a full disk: what happened, not how many tasks it happened to
            raise group.exceptions[0] from None
        return {
            "asked": len(self.clips),
            "pending": self.pending,
            "failed": self.failed,
            "gone": self.gone,
            "wrong": self.wrong,
        }

    async def ask_about_source(self, clips: list[Row], tasks: asyncio.TaskGroup) -> None:
        """Starts a question about each clip as soon as a slot is free for it."""
        source = clips[0]
        async with contextlib.AsyncExitStack() as stack:
            try:
                if (stamp := source_stamp(source["uri"])) != source["stamp"]:
                    raise RetryLater(GONE if is_gone(stamp) else "changed after it was measured")
                copy = fetch_source(source["uri"])
                path = await asyncio.to_thread(copy.__enter__)
                stack.callback(copy.__exit__, None, None, None)
            except (RetryLater, OSError) as error:
                self.pending |= {clip["key"]: str(error) for clip in clips}
                return
            for clip in clips:
                await self.slots.acquire()
                frames = None if self.wrong or self.gone else await asyncio.to_thread(self.frames, path, clip)
                if frames is None:
                    if clip["key"] not in self.failed:
                        self.pending.setdefault(clip["key"], "not asked, as others were not answered")
                    self.slots.release()
                else:
                    tasks.create_task(self.ask_about_clip(clip, frames))

    def frames(self, path: str, clip: Row) -> list[bytes] | None:
        """The clip's pictures; None where they cannot be had, once it is noted why."""
        wanted = (clip["start_s"], clip["frames"], self.settings.frames, self.settings.max_side)
        home = "framemill.data_filters.captions.frames:clip_jpegs"
        try:
            return call_with_retry(self.worker.child, home, path, *wanted, timeout=self.worker.timeout_s)
        except RetryLater as error:
            self.pending[clip["key"]] = str(error)
        except (VideoError, ChildCrashed) as error:
            self.failed[clip["key"]] = f"could not be read for its caption: {error}"
        return None

    async def ask_about_clip(self, clip: Row, frames: list[bytes]) -> None:
        """Asks until an answer passes the checks, or as many as may have failed them; each is recorded at once."""
        key = clip["key"]
        # A worker restarted by Ray is given its batch again, and finds what it recorded.
        answers = [Answer(key, *said) for said in clip["answers"]]
        answers += [answer for answer in self.file.answers if answer.key == key]
        try:
            while len(answers) < self.settings.answers and accepted(answers, self.settings)[0] is None:
                answers.append(await self.worker.model.ask(key, frames, nth=len(answers)))
                self.unanswered = 0
                # A driver that is gone may have a successor that asks: what it finds recorded must not change.
                self.worker.token.check()
                self.file.add(answers[-1])
                log_event(self.worker.token.output, event="answered", caption=key, attempt=self.worker.token.attempt)
        except NoAnswer as error:
            self.unanswered += 1
            self.pending[key] = str(error)
        except RequestError as error:
            self.wrong = self.wrong or str(error)
        finally:
            self.slots.release()
