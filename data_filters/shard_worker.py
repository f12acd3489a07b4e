"""The worker that packs shards: one Ray actor with a child that may hang or crash."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from framemill.data_filters.cut import Cut
from framemill.data_filters.ledger import note
from framemill.data_filters.pack import SPLIT, PackedClip, ShardPlan
from framemill.data_filters.source_worker import Later, call_twice
from framemill.data_filters.sources import stamp_of
from framemill.platform import storage
from framemill.platform.child import ChildCrashed, ExpendableChild
from framemill.platform.shards import Sample, ShardInfo, write_shard
from framemill.platform.storage import LockToken
from framemill.platform.vision.probe import VideoError

MANIFESTS = "work/shards"


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


class ShardWorker:
    """Takes planned shards one by one, writes each and then its manifest."""

    def __init__(self, output: str, token: LockToken, timeout_s: float) -> None:
        self.output, self.token, self.timeout_s = output, token, timeout_s
        self.child = ExpendableChild()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Packs `row["work"]`, a ShardPlan as JSON; gives its name, and why it must wait or ""."""
        plan = ShardPlan.from_json(row["work"])
        if read_manifest(self.output, plan) is not None:
            return {"name": plan.name, "waits": ""}
        self.token.check()
        note(self.output, event="start", shard=plan.name, attempt=self.token.attempt)
        failed: dict[str, str] = {}
        cuts: dict[str, dict[str, Any]] = {}
        samples = self.samples(plan, failed, cuts)
        try:
            info = write_shard(storage.join(self.output, "shards"), SPLIT, plan.index, samples, plan.digest8)
        except Later as reason:
            return {"name": plan.name, "waits": str(reason)}
        self.token.check()
        storage.write_atomic(manifest_uri(self.output, plan), ShardManifest(info, failed, cuts).to_json())
        note(self.output, event="done", shard=plan.name, attempt=self.token.attempt)
        return {"name": plan.name, "waits": ""}

    def samples(self, plan: ShardPlan, failed: dict[str, str], cuts: dict[str, dict[str, Any]]) -> Iterator[Sample]:
        """The samples of a shard in order, noted in `cuts`; a clip that cannot be packed goes into `failed` instead."""
        for clip in plan.clips:
            try:
                mp4, cut = self.cut(clip)
            except (VideoError, ChildCrashed) as error:
                failed[clip.key] = f"could not be packed: {error}"
                continue
            # Checked before each clip too: a driver that is gone may have a successor packing this very shard.
            self.token.check()
            cuts[clip.key] = cut.values()
            facts = clip.json_member({"packed": cut.packed, **cut.values()})
            yield Sample(clip.key, {"mp4": mp4, "json": facts, "txt": clip.caption.encode()})
        self.token.check()

    def cut(self, clip: PackedClip) -> tuple[bytes, Cut]:
        """Raises Later where it may succeed another time; VideoError or ChildCrashed where it will not."""
        if stamp_of(clip.uri) != clip.stamp:
            what = "changed after it was measured" if storage.exists(clip.uri) else "is no longer there"
            raise Later(f"{clip.path} {what}")
        try:
            with storage.local_copy(clip.uri) as path:
                return call_twice(self.child, "framemill.data_filters.cut:cut_clip", path, clip, timeout=self.timeout_s)
        except OSError as error:
            raise Later(f"storage: {error.strerror or error}") from error
