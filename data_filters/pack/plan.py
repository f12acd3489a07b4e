"""The plan of all shards, made before anything is cut: how each clip is cut, and which shard it goes into."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

from framemill.data_filters.ledger.clip_table import ClipRow, ClipTable
from framemill.data_filters.pack.config import PackConfig
from framemill.data_filters.sources.source import Source
from framemill.platform.shard_writer import shard_name

SPLIT = "train"
"""The split that all shards belong to, the beginning of their names."""
_STORAGE_FIELDS = ("uri", "stamp", "earlier")
"""Fields of `ClipPlan` that do not change the sample."""


@dataclass(frozen=True)
class ReusableClip:
    """Where a clip is stored that was cut before."""

    shard: str
    """URI of the shard."""
    sha256: str
    """Of the shard; a shard with another hash is not used."""
    mp4: list[int]
    """Offset and size of the .mp4 in the shard, bytes."""
    json: list[int]
    """Offset and size of the .json in the shard, bytes."""


@dataclass(frozen=True)
class SampleFacts:
    """What the .json of a sample says besides what cutting it gave."""

    captions: list[dict[str, Any]]
    """All captions in order of preference: {"source", "text", "weight"}."""
    path: str
    """Of the source, relative to the input."""
    source_id: str
    """sha256 of the source's content."""
    start_s: float
    end_s: float
    scores: dict[str, float | None]
    provenance: dict[str, Any]
    """Tags and licence."""
    external: dict[str, Any] | None = None
    """Scores and captions that came with the source from elsewhere."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as JSON values, without `external` where there is none."""
        values = dict(vars(self))
        return values if self.external is not None else {k: v for k, v in values.items() if k != "external"}


@dataclass(frozen=True)
class ClipPlan:
    """How one clip will be cut and written; no pixel data.

    The names of the fields are part of a shard's digest, and so of its name.
    """

    key: str
    path: str
    """Of the source, relative to the input."""
    uri: str
    """Of the source; empty where the clip is reused."""
    stamp: str
    """Of the source as it was measured; empty where only its content hash is known."""
    start_s: float
    source_frames: int
    """Number of frames of the source from start_s."""
    seconds: float
    source_size: list[int]
    """Width and height of the source's frames, upright."""
    source_fps: float
    mode: str
    """`pack.mode`."""
    keeps_rate: bool
    """Whether the clip has the frame rate of its source."""
    max_height: int
    scaled: list[int]
    """Width and height that frames are scaled to when they are encoded again, before their sides are made even."""
    width: int
    height: int
    frames: int
    fps: float
    crf: int
    caption: str
    facts: SampleFacts
    earlier: ReusableClip | None = None
    """Where the clip is stored already, cut in the same way."""

    def json_member(self, cut: dict[str, Any]) -> bytes:
        """Returns the sample's .json: the facts, and what cutting gave."""
        values = {"key": self.key, "caption": self.caption, **cut, **self.facts.to_dict()}
        return json.dumps(values, sort_keys=True, ensure_ascii=False).encode()

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as JSON values."""
        # `asdict` would copy every list and dict, for each of a million clips.
        return {**vars(self), "facts": self.facts.to_dict(), "earlier": self.earlier and vars(self.earlier)}

    @staticmethod
    def from_dict(values: dict[str, Any]) -> ClipPlan:
        """Returns the plan of `to_dict`."""
        earlier = values["earlier"]
        fields = {"facts": SampleFacts(**values["facts"]), "earlier": ReusableClip(**earlier) if earlier else None}
        return ClipPlan(**{**values, **fields})


class ClipPlans(Sequence[ClipPlan]):
    """Plans that are made whenever they are read: those of a million clips would take gigabytes."""

    def __init__(self, plan: Callable[[int], ClipPlan], rows: list[int]) -> None:
        """Creates the sequence.

        Args:
            plan: makes the plan of a row of the clips table.
            rows: the rows, in order.
        """
        self._plan, self._rows = plan, rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, at: int) -> ClipPlan: ...

    @overload
    def __getitem__(self, at: slice) -> ClipPlans: ...

    def __getitem__(self, at: int | slice) -> ClipPlan | ClipPlans:
        return ClipPlans(self._plan, self._rows[at]) if isinstance(at, slice) else self._plan(self._rows[at])


@dataclass(frozen=True)
class ShardPlan:
    """The clips of one shard: one item of a `ShardWorker`."""

    index: int
    """Number of the shard, from 0."""
    clips: Sequence[ClipPlan]

    @cached_property
    def digest8(self) -> str:
        """Eight hex digits over all that determines the shard's bytes."""
        clips = [{k: v for k, v in clip.to_dict().items() if k not in _STORAGE_FIELDS} for clip in self.clips]
        return hashlib.sha256(json.dumps(clips, sort_keys=True).encode()).hexdigest()[:8]

    @property
    def name(self) -> str:
        """The file name of the shard."""
        return shard_name(SPLIT, self.index, self.digest8)

    def to_json(self) -> str:
        """Returns the plan as text."""
        return json.dumps({"index": self.index, "clips": [clip.to_dict() for clip in self.clips]})

    @staticmethod
    def from_json(text: str) -> ShardPlan:
        """Returns the plan of `to_json`."""
        values = json.loads(text)
        return ShardPlan(values["index"], [ClipPlan.from_dict(clip) for clip in values["clips"]])


def plan_clip(clip: ClipRow, uri: str, stamp: str, pack: PackConfig, scores: Sequence[str]) -> ClipPlan:
    """Returns the plan of a kept clip: its rate, its even size no taller than the limit, its number of frames.

    Args:
        clip: a row of the clips table.
        uri: of the source.
        stamp: of the source as it was measured.
        pack: the keys `pack.*`.
        scores: columns of scores that the sample's .json has.
    """
    fps = pack.fps or clip.fps
    seconds = clip.end_s - clip.start_s
    scaled = _scaled_size(clip.width, clip.height, pack.max_height)
    provenance = dict(clip.provenance)
    external = provenance.pop("external")
    return ClipPlan(
        key=clip.key,
        path=clip.path,
        uri=uri,
        stamp=stamp,
        start_s=clip.start_s,
        source_frames=clip.frames,
        seconds=seconds,
        source_size=[clip.width, clip.height],
        source_fps=clip.fps,
        mode=pack.mode,
        keeps_rate=not pack.fps,
        max_height=pack.max_height,
        scaled=scaled,
        width=scaled[0] // 2 * 2,
        height=scaled[1] // 2 * 2,
        frames=max(1, round(seconds * fps)),
        fps=fps,
        crf=pack.crf,
        caption=clip.caption or "",
        facts=SampleFacts(
            captions=clip.captions,
            path=clip.path,
            source_id=clip.source_id,
            start_s=clip.start_s,
            end_s=clip.end_s,
            scores={name: clip.score(name) for name in scores},
            provenance=provenance,
            external=json.loads(external) if external else None,
        ),
    )


def plan_shards(
    clips: ClipTable, sources: Sequence[Source], pack: PackConfig, scores: Sequence[str]
) -> list[ShardPlan]:
    """Returns the shards of the kept clips, which are in the order of their keys.

    A key begins with the digest of its source, so clips of one source are in the same shard or in neighbours.
    """
    by_path = {source.path: source for source in sources}

    def plan(row: int) -> ClipPlan:
        source = by_path[clips[row].path]
        return plan_clip(clips[row], source.uri, source.stamp, pack, scores)

    kept = [row for row, state in enumerate(clips.column("state")) if state == "kept"]
    plans, size = ClipPlans(plan, kept), pack.samples_per_shard
    return [ShardPlan(i, plans[start : start + size]) for i, start in enumerate(range(0, len(plans), size))]


def _scaled_size(width: int, height: int, max_height: int) -> list[int]:
    """Returns the width and height of the whole frame, scaled down to `max_height` where it is taller."""
    return [width, height] if height <= max_height else [round(width * max_height / height), max_height]
