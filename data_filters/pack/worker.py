"""The worker that packs shards: one Ray actor with a decoder process."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass

from framemill.data_filters.ledger import format_v1
from framemill.data_filters.ledger.event_log import log_event
from framemill.data_filters.ledger.reasons import Cause, Reason
from framemill.data_filters.pack.cut import Cut
from framemill.data_filters.pack.plan import SPLIT, ClipPlan, ShardPlan
from framemill.data_filters.sources.source import Source, fetch_source
from framemill.data_filters.sources.unchanged import require_unchanged, retry_source_errors
from framemill.platform import storage
from framemill.platform.child_process import ChildCrashed, ChildProcess
from framemill.platform.pools import PoolWorker
from framemill.platform.retry import RetryLater, call_with_retry
from framemill.platform.shard_writer import Sample, ShardInfo, write_shard
from framemill.platform.vision.probe import VideoError
from framemill.platform.writer_lock import LockToken

MANIFESTS = "work/shards"
"""Folder of the manifests in an output."""
_CUT_CLIP = "framemill.data_filters.pack.cut:cut_clip"


@dataclass(frozen=True)
class ShardManifest:
    """A finished shard: what became of each of its planned clips."""

    info: ShardInfo
    failed: dict[str, Reason]
    """Reason by key of the clips that could not be packed."""
    cuts: dict[str, Cut]
    """By key of the clips that were packed."""

    def to_json(self) -> bytes:
        """Returns the manifest as the content of a file."""
        cuts = {key: cut.to_dict() for key, cut in self.cuts.items()}
        failed = {key: reason.to_dict() for key, reason in self.failed.items()}
        values = {"info": json.loads(self.info.to_json()), "failed": failed, "cuts": cuts}
        return json.dumps(values, sort_keys=True).encode()

    @staticmethod
    def from_json(data: bytes) -> ShardManifest:
        """Returns the manifest of `to_json`."""
        values = json.loads(data)
        info = ShardInfo.from_json(json.dumps(values["info"]).encode())
        failed = {
            # Format version 1 has sentences here.
            key: format_v1.packing_reason(reason) if isinstance(reason, str) else Reason.from_dict(reason)
            for key, reason in values["failed"].items()
        }
        return ShardManifest(info, failed, {key: Cut.from_dict(cut) for key, cut in values["cuts"].items()})


def _manifest_uri(output: str, plan: ShardPlan) -> str:
    """Returns where the manifest of a planned shard is stored."""
    return storage.join(output, MANIFESTS, plan.name + ".json")


def read_manifest(output: str, plan: ShardPlan) -> ShardManifest | None:
    """Returns the manifest of a planned shard; None where the shard is still to be packed."""
    uri = _manifest_uri(output, plan)
    if not (storage.exists(uri) and storage.exists(storage.join(output, "shards", plan.name))):
        return None
    return ShardManifest.from_json(storage.read_bytes(uri))


@dataclass(frozen=True)
class _PackedClip:
    """What became of one planned clip."""

    key: str
    cut: Cut | None = None
    """None where the clip could not be packed."""
    failure: Reason | None = None
    """Why it could not."""
    reused: bool = False
    """Whether the clip's bytes are those of another shard."""
    sample: Sample | None = None
    """The members of the clip; None where it could not be packed."""


class ShardWorker(PoolWorker):
    """Takes planned shards one by one, writes each and then its manifest."""

    def __init__(self, output: str, token: LockToken, timeout_s: float) -> None:
        """Creates the worker.

        Args:
            output: folder or URI of the dataset.
            token: the driver's lock on the output.
            timeout_s: longest silence of the decoder, in seconds.
        """
        self.output, self.token, self.timeout_s = output, token, timeout_s
        self.child = ChildProcess()
        self._hashes: dict[str, str] = {}

    @staticmethod
    def name(item: str) -> str:
        """Returns the shard's name."""
        return ShardPlan.from_json(item).name

    def do(self, item: str) -> str:
        """Packs a shard, given as `ShardPlan` in JSON.

        Raises:
            RetryLater: see `pack`.
        """
        plan = ShardPlan.from_json(item)
        if read_manifest(self.output, plan) is None:
            self.pack(plan)
        return ""

    def pack(self, plan: ShardPlan) -> None:
        """Writes a shard and its manifest.

        Raises:
            RetryLater: the decoder timed out or was killed from outside, storage did not answer, or a source changed
                since it was measured.
            FramemillError: another driver owns the output.
        """
        self.token.check()
        log_event(self.output, event="start", shard=plan.name, attempt=self.token.attempt)
        packed: list[_PackedClip] = []

        def samples() -> Iterator[Sample]:
            for clip in self._packed_clips(plan):
                packed.append(dataclasses.replace(clip, sample=None))
                if clip.sample is not None:
                    yield clip.sample

        info = write_shard(storage.join(self.output, "shards"), SPLIT, plan.index, samples(), plan.digest8)
        self.token.check()
        failed = {clip.key: clip.failure for clip in packed if clip.failure is not None}
        cuts = {clip.key: clip.cut for clip in packed if clip.cut is not None}
        storage.write_atomic(_manifest_uri(self.output, plan), ShardManifest(info, failed, cuts).to_json())
        taken = sum(clip.reused for clip in packed)
        counts = {"taken": taken, "cut": len(packed) - taken}
        log_event(self.output, event="done", shard=plan.name, attempt=self.token.attempt, **counts)

    def _packed_clips(self, plan: ShardPlan) -> Iterator[_PackedClip]:
        """Yields the clips of a shard in order, each as it is cut or taken from another shard."""
        # A source's clips follow one another, so it is fetched once for all of them that must be cut.
        for _, group in itertools.groupby(plan.clips, key=lambda clip: clip.uri):
            with contextlib.ExitStack() as stack:
                path: str | None = None
                for clip in group:
                    result = self._read_reusable(clip)
                    if reused := result is not None:
                        mp4, cut = result
                    else:
                        path = path or stack.enter_context(self._fetched(clip))
                        try:
                            mp4, cut = self._cut(path, clip)
                        except (VideoError, ChildCrashed) as error:
                            yield _PackedClip(clip.key, failure=Reason(Cause.NOT_PACKED, detail=str(error)))
                            continue
                    # Checked before each clip too: a driver that is gone may have a successor packing this shard.
                    self.token.check()
                    members = {"mp4": mp4, "json": clip.json_member(cut.to_dict()), "txt": clip.caption.encode()}
                    yield _PackedClip(clip.key, cut, reused=reused, sample=Sample(clip.key, members))
        self.token.check()

    def _read_reusable(self, clip: ClipPlan) -> tuple[bytes, Cut] | None:
        """Returns a clip that another shard has; None where none has it, or the shard is not what its index says."""
        stored = clip.earlier
        if stored is None:
            return None
        try:
            if self._sha256_of(stored.shard) != stored.sha256:
                return None
            cut = Cut.from_dict(json.loads(storage.read_range(stored.shard, *stored.json)))
            return storage.read_range(stored.shard, *stored.mp4), cut
        except OSError:
            return None

    def _sha256_of(self, uri: str) -> str:
        """Returns a file's hash, computed once: many clips come out of one shard."""
        if uri not in self._hashes:
            self._hashes[uri] = storage.sha256_file(uri)
        return self._hashes[uri]

    @contextlib.contextmanager
    def _fetched(self, clip: ClipPlan) -> Iterator[str]:
        """Yields a local path with the source of a clip.

        Raises:
            RetryLater: the source is not the file that was measured, or storage did not answer.
        """
        if not clip.uri:
            raise RetryLater(f"{clip.earlier.shard if clip.earlier else clip.path} is damaged or gone")
        try:
            with contextlib.ExitStack() as stack:
                with retry_source_errors():
                    if clip.stamp:
                        require_unchanged(Source(clip.path, clip.uri, clip.stamp))
                    path = stack.enter_context(fetch_source(clip.uri))
                    if not clip.stamp and storage.sha256_file(path) != clip.facts.source_id:
                        raise RetryLater("it is not the file that was measured")
                yield path
        except RetryLater as error:
            raise RetryLater(f"{clip.path}: {error}") from error

    def _cut(self, path: str, clip: ClipPlan) -> tuple[bytes, Cut]:
        """Returns the mp4 of a clip, cut in the child process.

        Raises:
            RetryLater: the child timed out or was killed from outside, or storage did not answer.
            VideoError: the clip cannot be read.
            ChildCrashed: the child crashed in every attempt.
        """
        with retry_source_errors():
            result: tuple[bytes, Cut] = call_with_retry(self.child, _CUT_CLIP, path, clip, timeout=self.timeout_s)
        return result
