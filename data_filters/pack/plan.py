"""Packing, planned before anything is cut: what each sample is to be, and which shard it goes into."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

from framemill.data_filters.ledger.clip_table import ClipTable
from framemill.data_filters.pack.config import PackConfig
from framemill.data_filters.sources.listing import Source
from framemill.platform.shard_writer import shard_name

SPLIT = "train"


@dataclass(frozen=True)
class ReusableClip:
    """Where a clip lies that was cut before."""

    shard: str
    """URI, and its hash, without which nothing is taken from it."""
    sha256: str
    mp4: list[int]
    """Offset and size in the shard."""
    json: list[int]


@dataclass(frozen=True)
class ClipPlan:
    """One sample as it will be: everything but the pictures."""

    key: str
    path: str
    uri: str
    stamp: str
    """Of the source as it was measured; empty where only its content is known."""
    start_s: float
    source_frames: int
    """How many frames of the source, from start_s."""
    seconds: float
    source_size: list[int]
    """Width and height of the source's pictures, upright."""
    source_fps: float
    mode: str
    keeps_rate: bool
    """Whether the source's frame rate is the one asked for."""
    max_height: int
    scaled: list[int]
    """Width and height that pictures encoded again are scaled to, before their sides are cut to even ones."""
    width: int
    height: int
    frames: int
    fps: float
    crf: int
    caption: str
    facts: dict[str, Any]
    """What the .json says besides: scores, provenance, where it comes from."""
    earlier: ReusableClip | None = None

    def json_member(self, cut: dict[str, Any]) -> bytes:
        """The .json: the facts, and what cutting says of the mp4."""
        values = {"key": self.key, "caption": self.caption, **cut, **self.facts}
        return json.dumps(values, sort_keys=True, ensure_ascii=False).encode()


class ClipPlans(Sequence[ClipPlan]):
    """Clips that are planned anew whenever they are looked at: the plans of a million take gigabytes."""

    def __init__(self, plan: Callable[[int], ClipPlan], rows: list[int]) -> None:
        self.plan, self.rows = plan, rows

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, at: int) -> ClipPlan: ...

    @overload
    def __getitem__(self, at: slice) -> ClipPlans: ...

    def __getitem__(self, at: int | slice) -> ClipPlan | ClipPlans:
        return ClipPlans(self.plan, self.rows[at]) if isinstance(at, slice) else self.plan(self.rows[at])


@dataclass(frozen=True)
class ShardPlan:
    index: int
    clips: Sequence[ClipPlan]

    @cached_property
    def digest8(self) -> str:
        """Eight hex digits over all that the shard is made from."""
        places = ("uri", "stamp", "earlier")
        made_from = [{k: v for k, v in vars(clip).items() if k not in places} for clip in self.clips]
        return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:8]

    @property
    def name(self) -> str:
        return shard_name(SPLIT, self.index, self.digest8)

    def to_json(self) -> str:
        # asdict would copy every list and mapping, for each of a million clips.
        clips = [{**vars(clip), "earlier": clip.earlier and vars(clip.earlier)} for clip in self.clips]
        return json.dumps({"index": self.index, "clips": clips})

    @staticmethod
    def from_json(text: str) -> ShardPlan:
        values = json.loads(text)
        earlier = [clip.pop("earlier") for clip in values["clips"]]
        clips = [
            ClipPlan(**clip, earlier=ReusableClip(**lies) if lies else None)
            for clip, lies in zip(values["clips"], earlier, strict=True)
        ]
        return ShardPlan(values["index"], clips)


def plan_clip(clip: Mapping[str, Any], uri: str, stamp: str, pack: PackConfig, scores: Sequence[str]) -> ClipPlan:
    """The sample of a kept clip: its rate, its even size no taller than the limit, its number of frames."""
    fps = pack.fps or clip["fps"]
    seconds = clip["end_s"] - clip["start_s"]
    scaled = scaled_size(clip["width"], clip["height"], pack.max_height)
    return ClipPlan(
        key=clip["key"],
        path=clip["path"],
        uri=uri,
        stamp=stamp,
        start_s=clip["start_s"],
        source_frames=clip["frames"],
        seconds=seconds,
        source_size=[clip["width"], clip["height"]],
        source_fps=clip["fps"],
        mode=pack.mode,
        keeps_rate=not pack.fps,
        max_height=pack.max_height,
        scaled=scaled,
        width=scaled[0] // 2 * 2,
        height=scaled[1] // 2 * 2,
        frames=max(1, round(seconds * fps)),
        fps=fps,
        crf=pack.crf,
        caption=clip["caption"],
        facts={
            "captions": clip["captions"],
            "path": clip["path"],
            "source_id": clip["source_id"],
            "start_s": clip["start_s"],
            "end_s": clip["end_s"],
            "scores": {name: clip[name] for name in scores},
            **provenance_facts(clip["provenance"]),
        },
    )


def provenance_facts(provenance: dict[str, Any]) -> dict[str, Any]:
    """Tags and licence, and apart from them what came along with the source from elsewhere."""
    facts: dict[str, Any] = {"provenance": {k: v for k, v in provenance.items() if k != "external"}}
    return facts | ({"external": json.loads(provenance["external"])} if provenance["external"] else {})


def scaled_size(width: int, height: int, max_height: int) -> list[int]:
    """Width and height of the whole picture, at most `max_height` high."""
    return [width, height] if height <= max_height else [round(width * max_height / height), max_height]


def plan_shards(
    clips: ClipTable, sources: Sequence[Source], pack: PackConfig, scores: Sequence[str]
) -> list[ShardPlan]:
    """Returns the shards of the kept clips, which are in the order of their keys.

    A key begins with the digest of its source, so clips of one source are in the same shard or in neighbours.
    """
    by_path = {source.path: source for source in sources}

    def plan(row: int) -> ClipPlan:
        source = by_path[clips[row]["path"]]
        return plan_clip(clips[row], source.uri, source.stamp, pack, scores)

    kept = [row for row, state in enumerate(clips.column("state")) if state == "kept"]
    plans, size = ClipPlans(plan, kept), pack.samples_per_shard
    return [ShardPlan(i, plans[start : start + size]) for i, start in enumerate(range(0, len(plans), size))]
