"""The worker that scores clips with a network: one Ray actor with a decoder process, on the CPU or on GPUs."""

from __future__ import annotations

import numpy as np

from framemill.data_filters.filters.registry import SCORE_DECIMALS
from framemill.data_filters.ledger.event_log import log_event
from framemill.data_filters.ledger.reasons import Cause, Reason
from framemill.data_filters.models.base import ModelSpec, ScorableClip, Scores
from framemill.data_filters.models.registry import load_scorer
from framemill.data_filters.models.score_parts import ClipScores, ScoreWork, read_scores, write_scores
from framemill.data_filters.sources.source import fetch_source
from framemill.data_filters.sources.unchanged import require_unchanged, retry_source_errors
from framemill.platform.child_process import ChildCrashed, ChildProcess
from framemill.platform.pools import PoolWorker
from framemill.platform.retry import call_with_retry
from framemill.platform.vision.video import VideoError
from framemill.platform.writer_lock import LockToken


class ModelWorker(PoolWorker):
    """Scores the clips of sources one by one and commits a part for each source."""

    def __init__(self, output: str, token: LockToken, spec: ModelSpec, timeout_s: float) -> None:
        """Creates the worker and loads its network.

        Args:
            output: folder or URI of the dataset.
            token: the driver's lock on the output.
            spec: the scorer.
            timeout_s: timeout for each message from the decoder process, in seconds.

        Raises:
            RequestError: a weight file is missing, has another sha256, or does not fit the scorer.
        """
        self.output, self.token, self.spec, self.timeout_s = output, token, spec, timeout_s
        self.scorer = load_scorer(spec)
        self.child = ChildProcess()

    @staticmethod
    def name(item: str) -> str:
        """Returns the path of the item's source."""
        return ScoreWork.from_json(item).source.path

    def do(self, item: str) -> str:
        """Scores the clips of a source, given as `ScoreWork` in JSON, and commits their scores.

        Raises:
            RetryLater: the decoder timed out or was killed from outside, storage did not answer, or the file changed
                since the decode pass.
            FramemillError: another driver owns the output, or the network does not accept the frames.
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

    def score(self, work: ScoreWork) -> list[ClipScores]:
        """Returns the results for the clips of a source.

        Raises:
            RetryLater: the decoder timed out or was killed from outside, storage did not answer, or the file changed
                since the decode pass.
        """
        with retry_source_errors(), fetch_source(work.source.uri) as path:
            rows = [self._score_clip(path, clip) for clip in work.clips]
        require_unchanged(work.source)
        return rows

    def _score_clip(self, path: str, clip: ScorableClip) -> ClipScores:
        request = self.scorer.frame_request(clip)
        try:
            sampled = call_with_retry(self.child, request.function, path, *request.arguments, timeout=self.timeout_s)
        except (VideoError, ChildCrashed) as error:
            return ClipScores(clip.key, None, Reason(Cause.UNREADABLE_FOR_SCORES, detail=str(error)))
        scores = self.scorer.score(sampled)
        values = [np.asarray(value) for value in (*scores.numbers.values(), *scores.vectors.values())]
        if not all(np.isfinite(value).all() for value in values):
            return ClipScores(clip.key, None, Reason(Cause.NOT_FINITE, self.spec.scorer))
        return ClipScores(clip.key, _rounded(scores))


def _rounded(scores: Scores) -> Scores:
    return Scores(
        {name: float(np.round(value, SCORE_DECIMALS)) for name, value in scores.numbers.items()},
        {name: np.round(value, SCORE_DECIMALS).tolist() for name, value in scores.vectors.items()},
    )
