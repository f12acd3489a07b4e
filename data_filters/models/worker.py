"""The worker that scores clips with a network: one Ray actor, on a share of a GPU or none, with a child that reads."""

from __future__ import annotations

from typing import Any

import numpy as np

from framemill.data_filters.ledger.parts import log_event
from framemill.data_filters.measure.decode_pass import DECIMALS
from framemill.data_filters.measure.worker import GONE
from framemill.data_filters.models.registry import SCORERS, ModelSpec
from framemill.data_filters.models.score_parts import ScoreWork, read_scores, write_scores
from framemill.data_filters.sources.source import fetch_source, is_gone, source_stamp
from framemill.platform.child_process import ChildCrashed, ChildProcess
from framemill.platform.pools import PoolWorker
from framemill.platform.retry import RetryLater, call_with_retry
from framemill.platform.vision.video import VideoError
from framemill.platform.writer_lock import LockToken

Row = dict[str, Any]


class ModelWorker(PoolWorker):
    """Takes sources one by one and commits the scores of their clips."""

    def __init__(self, output: str, token: LockToken, spec: ModelSpec, timeout_s: float) -> None:
        self.output, self.token, self.spec, self.timeout_s = output, token, spec, timeout_s
        self.scorer = SCORERS[spec.scorer].load(spec)
        self.child = ChildProcess()

    def name(self, item: str) -> str:
        """Returns the path of the item's source."""
        return ScoreWork.from_json(item).source.path

    def do(self, item: str) -> str:
        """Scores the clips of a source, given as `ScoreWork` in JSON, and commits their scores.

        Raises:
            RetryLater: see `score`.
        """
        work = ScoreWork.from_json(item)
        if read_scores(self.output, self.spec, work) is None:
            event = {"scored": work.source.path, "scorer": self.spec.scorer, "attempt": self.token.attempt}
            log_event(self.output, event="start", **event)
            rows = self.score(work)
            self.token.check()
            write_scores(self.output, self.spec, work.source, rows)
            log_event(self.output, event="done", clips=len(rows), **event)
        return ""

    def score(self, work: ScoreWork) -> list[Row]:
        """The rows of a source's clips.

        Raises:
            Later: a time limit, storage, or a signal from outside; or the file changed since it was measured.
        """
        try:
            with fetch_source(work.source.uri) as path:
                rows = [self.score_clip(path, clip) for clip in work.clips]
        except FileNotFoundError as error:
            raise RetryLater(GONE) from error
        except OSError as error:
            raise RetryLater(f"storage: {error.strerror or error}") from error
        if (stamp := source_stamp(work.source.uri)) != work.source.stamp:
            raise RetryLater(GONE if is_gone(stamp) else "it changed after it was measured")
        return rows

    def score_clip(self, path: str, clip: Row) -> Row:
        """The scores of a clip, rounded; without them, why."""
        row: Row = {"key": clip["key"], "unscored": None}
        look = self.scorer.look(clip)
        try:
            views = call_with_retry(self.child, look.function, path, *look.arguments, timeout=self.timeout_s)
        except (VideoError, ChildCrashed) as error:
            return {**row, "unscored": f"could not be read again: {error}"}
        scores = self.scorer.score(views)
        if not all(np.all(np.isfinite(value)) for value in scores.values()):
            return {**row, "unscored": f"{self.spec.scorer}: the network gave no number"}
        return row | {name: np.round(value, DECIMALS).tolist() for name, value in scores.items()}
