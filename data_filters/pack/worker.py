"""The worker that packs shards: one Ray actor with a child that may hang or crash."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from framemill.data_filters.ledger.parts import log_event
from framemill.data_filters.pack.cut import Cut
from framemill.data_filters.pack.plan import SPLIT, ClipPlan, ShardPlan
from framemill.data_filters.sources.source import fetch_source, is_gone, source_stamp
from framemill.platform import storage
from framemill.platform.child_process import ChildCrashed, ChildProcess
from framemill.platform.pools import PoolWorker
from framemill.platform.retry import RetryLater, call_with_retry
from framemill.platform.shard_writer import Sample, ShardInfo, write_shard
from framemill.platform.vision.probe import VideoError
from framemill.platform.writer_lock import LockToken

MANIFESTS = "work/shards"
NOT_PACKED = "could not be packed"


@dataclass(frozen=True)
class ShardManifest:
    """A finished shard, and the clips that could not be packed into it with the reason."""

    info: ShardInfo
    failed: dict[str, str]
    cuts: dict[str, dict[str, Any]]
    """By key, what each clip became: its size, frames, rate and duration, and where it lies in its mp4."""

    def to_json(self) -> bytes:
        values = {"info": json.loads(self.info.to_json()), "failed": self.failed, "cuts": self.cuts}
        return json.dumps(values, sort_keys=True).encode()


def manifest_uri(output: str, plan: ShardPlan) -> str:
    return storage.join(output, MANIFESTS, plan.name + ".json")


def read_manifest(output: str, plan: ShardPlan) -> ShardManifest | None:
    """The manifest of a planned shard; None where it is still to be packed."""
    uri = manifest_uri(output, plan)
    if not (storage.exists(uri) and storage.exists(storage.join(output, "shards", plan.name))):
        return None
    values = json.loads(storage.read_bytes(uri))
    info = ShardInfo.from_json(json.dumps(values["info"]).encode())
    return ShardManifest(info, values["failed"], values["cuts"])


class ShardWorker(PoolWorker):
    """Takes planned shards one by one, writes each and then its manifest."""

    def __init__(self, output: str, token: LockToken, timeout_s: float) -> None:
        self.output, self.token, self.timeout_s = output, token, timeout_s
        self.child = ChildProcess()
        self.hashes: dict[str, str] = {}

    def name(self, item: str) -> str:
        """Returns the shard's name."""
        return ShardPlan.from_json(item).name

    def do(self, item: str) -> str:
        """Packs a shard, given as `ShardPlan` in JSON.

        Raises:
            RetryLater, StorageError: see `pack`.
        """
        plan = ShardPlan.from_json(item)
        if read_manifest(self.output, plan) is None:
            self.pack(plan)
        return ""

    def pack(self, plan: ShardPlan) -> None:
        """Raises Later or StorageError where it may succeed another time."""
        self.token.check()
        log_event(self.output, event="start", shard=plan.name, attempt=self.token.attempt)
        failed: dict[str, str] = {}
        cuts: dict[str, dict[str, Any]] = {}
        taken: list[str] = []
        samples = self.samples(plan, failed, cuts, taken)
        info = write_shard(storage.join(self.output, "shards"), SPLIT, plan.index, samples, plan.digest8)
        self.token.check()
        storage.write_atomic(manifest_uri(self.output, plan), ShardManifest(info, failed, cuts).to_json())
        cut = len(plan.clips) - len(taken)
        log_event(self.output, event="done", shard=plan.name, attempt=self.token.attempt, taken=len(taken), cut=cut)

    def samples(
        self, plan: ShardPlan, failed: dict[str, str], cuts: dict[str, dict[str, Any]], taken: list[str]
    ) -> Iterator[Sample]:
        """The samples of a shard in order, noted in `cuts`; a clip that cannot be packed goes into `failed` instead.
        The keys of those that were not cut anew go into `taken`."""
        # A source's clips follow one another, so it is fetched once for all of them that must be cut.
        for _, group in itertools.groupby(plan.clips, key=lambda clip: clip.uri):
            with contextlib.ExitStack() as held:
                path: str | None = None
                for clip in group:
                    found = self.take(clip)
                    if found:
                        taken.append(clip.key)
                    else:
                        path = path or held.enter_context(self.fetched(clip))
                        try:
                            found = self.cut(path, clip)
                        except (VideoError, ChildCrashed) as error:
                            failed[clip.key] = f"{NOT_PACKED}: {error}"
                            continue
                    mp4, cut = found
                    # Checked before each clip too: a driver that is gone may have a successor packing this shard.
                    self.token.check()
                    cuts[clip.key] = cut.values()
                    facts = clip.json_member({"packed": cut.packed, **cut.values()})
                    yield Sample(clip.key, {"mp4": mp4, "json": facts, "txt": clip.caption.encode()})
        self.token.check()

    def take(self, clip: ClipPlan) -> tuple[bytes, Cut] | None:
        """The clip out of the shard it lies in; None where it lies in none, or that is not what its index says."""
        lies = clip.earlier
        if lies is None:
            return None
        try:
            if self.sha256_of(lies.shard) != lies.sha256:
                return None
            said = json.loads(storage.read_range(lies.shard, *lies.json))
            return storage.read_range(lies.shard, *lies.mp4), Cut(**{f.name: said[f.name] for f in fields(Cut)})
        except OSError:
            return None

    def sha256_of(self, uri: str) -> str:
        """A file's hash, taken once: many clips come out of one file."""
        if uri not in self.hashes:
            self.hashes[uri] = storage.sha256_file(uri)
        return self.hashes[uri]

    @contextlib.contextmanager
    def fetched(self, clip: ClipPlan) -> Iterator[str]:
        """A local path with the source of a clip. Raises Later where it is not what was measured, or out of reach."""
        if not clip.uri:
            raise RetryLater(f"{clip.earlier.shard if clip.earlier else clip.path} is damaged or gone")
        with contextlib.ExitStack() as held:
            try:
                if clip.stamp and (stamp := source_stamp(clip.uri)) != clip.stamp:
                    what = "is no longer there" if is_gone(stamp) else "changed after it was measured"
                    raise RetryLater(f"{clip.path} {what}")
                path = held.enter_context(fetch_source(clip.uri))
                if not clip.stamp and storage.sha256_file(path) != clip.facts["source_id"]:
                    raise RetryLater(f"{clip.path} is not the file that was measured")
            except OSError as error:
                raise RetryLater(f"storage: {error.strerror or error}") from error
            yield path

    def cut(self, path: str, clip: ClipPlan) -> tuple[bytes, Cut]:
        """Raises Later where it may succeed another time; VideoError or ChildCrashed where it will not."""
        try:
            return call_with_retry(
                self.child, "framemill.data_filters.pack.cut:cut_clip", path, clip, timeout=self.timeout_s
            )
        except OSError as error:
            raise RetryLater(f"storage: {error.strerror or error}") from error
