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
from framemill.platform.vision.stream import VideoError
from framemill.platform.writer_lock import LockToken

MANIFESTS = "work/shards"
"""Folder of the manifests in an output."""
_CUT_CLIP = "framemill.data_filters.pack.cut:cut_clip"


@dataclass(frozen=True)
class ShardManifest:
    """A finished shard, with the outcome of each planned clip."""

    info: ShardInfo
    """The entry of the shard in the index, and its members."""
    failed: dict[str, Reason]
    """Reasons by clip key, for clips that could not be packed."""
    cuts: dict[str, Cut]
    """Properties of the mp4 by clip key, for packed clips."""

    def to_json(self) -> bytes:
        """Returns the manifest as JSON."""
        cuts = {key: cut.to_dict() for key, cut in self.cuts.items()}
        failed = {key: reason.to_dict() for key, reason in self.failed.items()}
        values = {"info": json.loads(self.info.to_json()), "failed": failed, "cuts": cuts}
        return json.dumps(values, sort_keys=True).encode()

    @staticmethod
    def from_json(data: bytes) -> ShardManifest:
        """Returns the manifest that `to_json` serialised."""
        values = json.loads(data)
        info = ShardInfo.from_json(json.dumps(values["info"]).encode())
        failed = {
            # In format version 1 reasons are sentences.
            key: format_v1.packing_reason(reason) if isinstance(reason, str) else Reason.from_dict(reason)
            for key, reason in values["failed"].items()
        }
        return ShardManifest(info, failed, {key: Cut.from_dict(cut) for key, cut in values["cuts"].items()})


def _manifest_uri(output: str, plan: ShardPlan) -> str:
    """Returns the URI of the manifest of a planned shard."""
    return storage.join(output, MANIFESTS, plan.name + ".json")


def read_manifest(output: str, plan: ShardPlan) -> ShardManifest | None:
    """Returns the manifest of a planned shard, or None if the shard is not yet packed."""
    uri = _manifest_uri(output, plan)
    if not (storage.exists(uri) and storage.exists(storage.join(output, "shards", plan.name))):
        return None
    return ShardManifest.from_json(storage.read_bytes(uri))


@dataclass(frozen=True)
class _PackedClip:
    """The outcome of one planned clip."""

    key: str
    cut: Cut | None = None
    """Properties of the mp4; None if the clip could not be packed."""
    failure: Reason | None = None
    """Why the clip could not be packed; None if it was packed."""
    reused: bool = False
    """Whether the clip's bytes were copied from another shard."""
    sample: Sample | None = None
    """The sample with its members; None if the clip could not be packed."""


class ShardWorker(PoolWorker):
    """Packs planned shards one by one; the manifest of a shard is written after the shard."""

    def __init__(self, output: str, token: LockToken, timeout_s: float) -> None:
        """Creates the worker.

        Args:
            output: folder or URI of the dataset.
            token: the driver's lock on the output.
            timeout_s: timeout for each message from the decoder process, in seconds.
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
            RetryLater: the decoder timed out or was killed from outside, storage did not answer, or a source changed
                since it was measured.
            FramemillError: another driver owns the output.
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
        """Yields the clips of a shard in order, each after it is cut or copied from another shard."""
        # Clips of one source are consecutive, so each source is fetched at most once.
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
                    # Also checked for each clip: another driver may have taken over and be packing this shard.
                    self.token.check()
                    members = {"mp4": mp4, "json": clip.json_member(cut.to_dict()), "txt": clip.caption.encode()}
                    yield _PackedClip(clip.key, cut, reused=reused, sample=Sample(clip.key, members))
        self.token.check()

    def _read_reusable(self, clip: ClipPlan) -> tuple[bytes, Cut] | None:
        """Returns a clip from another shard; None if no shard has it, or if the shard's hash has changed."""
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
        """Returns the sha256 of a file, cached, since many clips are read from one shard."""
        if uri not in self._hashes:
            self._hashes[uri] = storage.sha256_file(uri)
        return self._hashes[uri]

    @contextlib.contextmanager
    def _fetched(self, clip: ClipPlan) -> Iterator[str]:
        """Yields a local path of the source of a clip.

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
            VideoError: the clip cannot be decoded or copied.
            ChildCrashed: the child crashed in every attempt.
        """
        with retry_source_errors():
            result: tuple[bytes, Cut] = call_with_retry(self.child, _CUT_CLIP, path, clip, timeout=self.timeout_s)
        return result
