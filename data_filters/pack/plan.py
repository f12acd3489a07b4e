"""Planning all shards before any clip is cut: how each clip is cut, and which shard contains it."""

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
"""Name of the split of all shards, with which their file names begin."""
_STORAGE_FIELDS = ("uri", "stamp", "earlier")
"""Fields of `ClipPlan` that do not affect the bytes of the sample."""


@dataclass(frozen=True)
class ReusableClip:
    """Location of a clip's members in a shard of a committed dataset."""

    shard: str
    """URI of the shard."""
    sha256: str
    """sha256 of the shard; a shard with another hash is not used."""
    mp4: list[int]
    """Offset and size of the .mp4 in the shard, bytes."""
    json: list[int]
    """Offset and size of the .json in the shard, bytes."""


@dataclass(frozen=True)
class SampleFacts:
    """Contents of a sample's .json besides the properties of its mp4 (`Cut`)."""

    captions: list[dict[str, Any]]
    """All captions in order of preference: {"source", "text", "weight"}."""
    path: str
    """Path of the source, relative to the input."""
    source_id: str
    """sha256 of the source's content."""
    start_s: float
    """Time of the first frame, seconds since the source's first frame."""
    end_s: float
    """Time at which the last frame ends, seconds since the source's first frame."""
    scores: dict[str, float | None]
    """Scores by column; None where a score was not measured."""
    provenance: dict[str, Any]
    """Tags and licence of the source."""
    external: dict[str, Any] | None = None
    """Scores and captions that another program wrote about the source; None if there are none."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as JSON values, without `external` if it is None."""
        values = dict(vars(self))
        return values if self.external is not None else {k: v for k, v in values.items() if k != "external"}


@dataclass(frozen=True)
class ClipPlan:
    """Plan of one clip: how it will be cut and written, without pixel data.

    The names of the fields are part of a shard's digest, and thereby of its file name.
    """

    key: str
    path: str
    """Path of the source, relative to the input."""
    uri: str
    """URI of the source; empty if only the reusable clip is available."""
    stamp: str
    """Change stamp of the source when it was measured; empty if only its content hash is known."""
    start_s: float
    """Time of the first frame, seconds since the source's first frame."""
    source_frames: int
    """Number of frames that the source shows in the clip."""
    seconds: float
    """Length of the clip."""
    source_size: list[int]
    """Width and height of the source's frames, upright."""
    source_fps: float
    """Frame rate of the source, frames per second."""
    mode: str
    """Value of `pack.mode`."""
    keeps_rate: bool
    """Whether the packed clip keeps the frame rate of its source."""
    max_height: int
    """Value of `pack.max_height`."""
    scaled: list[int]
    """Width and height that frames are scaled to for re-encoding, before they are cropped to even sides."""
    width: int
    """Width of the re-encoded clip, pixels."""
    height: int
    """Height of the re-encoded clip, pixels."""
    frames: int
    """Number of frames of the re-encoded clip."""
    fps: float
    """Frame rate of the re-encoded clip, frames per second."""
    crf: int
    """Value of `pack.crf`."""
    caption: str
    """Main caption, the content of the sample's .txt."""
    facts: SampleFacts
    """Contents of the sample's .json that are known before the clip is cut."""
    earlier: ReusableClip | None = None
    """Location of the clip in a committed dataset that cut it with equal settings; None if there is none."""

    def json_member(self, cut: dict[str, Any]) -> bytes:
        """Returns the content of the sample's .json: `facts`, and the properties of the mp4 from `Cut.to_dict`."""
        values = {"key": self.key, "caption": self.caption, **cut, **self.facts.to_dict()}
        return json.dumps(values, sort_keys=True, ensure_ascii=False).encode()

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as JSON values."""
        # `asdict` would copy every list and dict, for each of a million clips.
        return {**vars(self), "facts": self.facts.to_dict(), "earlier": self.earlier and vars(self.earlier)}

    @staticmethod
    def from_dict(values: dict[str, Any]) -> ClipPlan:
        """Returns the plan that `to_dict` serialised."""
        earlier = values["earlier"]
        fields = {"facts": SampleFacts(**values["facts"]), "earlier": ReusableClip(**earlier) if earlier else None}
        return ClipPlan(**{**values, **fields})


class ClipPlans(Sequence[ClipPlan]):
    """Sequence of plans that creates each plan on access, since the plans of a million clips would take gigabytes."""

    def __init__(self, plan: Callable[[int], ClipPlan], rows: list[int]) -> None:
        """Creates the sequence.

        Args:
            plan: returns the plan for a row index of the clips table.
            rows: row indices, in order.
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
    """The planned clips of one shard: one work item of a `ShardWorker`."""

    index: int
    """Number of the shard, from 0."""
    clips: Sequence[ClipPlan]
    """Plans of the clips, in the order of the samples."""

    @cached_property
    def digest8(self) -> str:
        """Digest over everything that determines the shard's bytes, eight hex digits."""
        clips = [{k: v for k, v in clip.to_dict().items() if k not in _STORAGE_FIELDS} for clip in self.clips]
        return hashlib.sha256(json.dumps(clips, sort_keys=True).encode()).hexdigest()[:8]

    @property
    def name(self) -> str:
        """File name of the shard."""
        return shard_name(SPLIT, self.index, self.digest8)

    def to_json(self) -> str:
        """Returns the plan as JSON."""
        return json.dumps({"index": self.index, "clips": [clip.to_dict() for clip in self.clips]})

    @staticmethod
    def from_json(text: str) -> ShardPlan:
        """Returns the plan that `to_json` serialised."""
        values = json.loads(text)
        return ShardPlan(values["index"], [ClipPlan.from_dict(clip) for clip in values["clips"]])


def plan_clip(clip: ClipRow, uri: str, stamp: str, pack: PackConfig, scores: Sequence[str]) -> ClipPlan:
    """Returns the plan of a kept clip, with the frame rate, size and number of frames after re-encoding.

    Args:
        clip: a row of the clips table.
        uri: URI of the source.
        stamp: change stamp of the source when it was measured.
        pack: the keys `pack.*`.
        scores: columns of scores that are written to the sample's .json.
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
    """Returns the shards: consecutive runs of `pack.samples_per_shard` kept clips, in the order of their keys.

    A key begins with the hash of the source's content, so clips of one source are in one shard or in neighbouring
    shards.

    Args:
        clips: clips table, sorted by key.
        sources: the sources of the clips.
        pack: the keys `pack.*`.
        scores: columns of scores that are written to a sample's .json.
    """
    by_path = {source.path: source for source in sources}

    def plan(row: int) -> ClipPlan:
        source = by_path[clips[row].path]
        return plan_clip(clips[row], source.uri, source.stamp, pack, scores)

    kept = [row for row, state in enumerate(clips.column("state")) if state == "kept"]
    plans, size = ClipPlans(plan, kept), pack.samples_per_shard
    return [ShardPlan(i, plans[start : start + size]) for i, start in enumerate(range(0, len(plans), size))]


def _scaled_size(width: int, height: int, max_height: int) -> list[int]:
    """Returns [width, height] of a frame, scaled down to `max_height` if it is taller."""
    return [width, height] if height <= max_height else [round(width * max_height / height), max_height]
