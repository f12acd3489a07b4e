"""Reuse of clips that a committed dataset already contains, cut with equal settings: their bytes are copied."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from framemill.data_filters.pack.config import PackConfig
from framemill.data_filters.pack.plan import ClipPlan, ReusableClip, ShardPlan
from framemill.platform import storage
from framemill.platform.dataset_format import committed_index
from framemill.platform.tables import read_table

_IDENTITY = ["key", "source_id", "start_s", "end_s", "frames", "width", "height", "fps"]
"""Columns of the clips table that, together with the keys `pack.*`, determine a clip's mp4."""


def find_reusable_clips(
    plans: Sequence[ShardPlan], datasets: Sequence[tuple[str, PackConfig]], pack: PackConfig
) -> list[ShardPlan]:
    """Returns the plans, with `earlier` of each clip set to its location in the first dataset that contains it.

    Args:
        plans: shards to pack.
        datasets: committed datasets, each with the keys `pack.*` that it was packed with.
        pack: keys `pack.*` for the plans; datasets packed with other cutting settings have no reusable clips.
    """
    reusable: dict[str, ReusableClip] = {}
    for dataset, settings in datasets:
        if _cut_settings(settings) == _cut_settings(pack):
            missing = [clip for plan in plans for clip in plan.clips if clip.key not in reusable]
            reusable |= _reusable_clips(dataset, missing)
    return [
        ShardPlan(plan.index, [dataclasses.replace(clip, earlier=reusable.get(clip.key)) for clip in plan.clips])
        for plan in plans
    ]


def _reusable_clips(dataset: str, clips: Sequence[ClipPlan]) -> dict[str, ReusableClip]:
    """Returns the locations of clips in a dataset by key, for clips with equal source, frames and size."""
    index = committed_index(dataset)
    if index is None or not clips:
        return {}
    keys = pa.array([clip.key for clip in clips], pa.string())
    ledger = read_table(storage.join(dataset, "ledger", "clips.parquet"), _IDENTITY)
    columns = ledger.filter(pc.is_in(ledger["key"], keys)).select(_IDENTITY).to_pydict()
    known = set(zip(*(columns[name] for name in _IDENTITY), strict=True))
    equal = pa.array([clip.key for clip in clips if _identity(clip) in known], pa.string())
    samples = read_table(storage.join(dataset, "samples.parquet"), ["key", "shard", "members"])
    rows = samples.filter(pc.is_in(samples["key"], equal)).to_pylist()
    hashes = {shard["name"]: shard["sha256"] for shard in index["shards"]}
    reusable: dict[str, ReusableClip] = {}
    for row in rows:
        members = {member["ext"]: [member["offset"], member["size"]] for member in row["members"]}
        shard = storage.join(dataset, "shards", row["shard"])
        reusable[row["key"]] = ReusableClip(shard, hashes[row["shard"]], members["mp4"], members["json"])
    return reusable


def _cut_settings(pack: PackConfig) -> dict[str, Any]:
    """Returns the values of `pack.*` that determine the mp4 of a clip."""
    return {name: value for name, value in asdict(pack).items() if name != "samples_per_shard"}


def _identity(clip: ClipPlan) -> tuple[Any, ...]:
    """Returns the values of the columns _IDENTITY of a planned clip."""
    ends = (clip.facts.source_id, clip.start_s, clip.facts.end_s)
    return (clip.key, *ends, clip.source_frames, *clip.source_size, clip.source_fps)
