"""The last step of a curation: writes the tables, then the index, which makes tables and shards a dataset version."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from framemill.data_filters.config import CurateConfig
from framemill.data_filters.ledger.clip_table import ClipTable
from framemill.data_filters.ledger.schema import clips_schema
from framemill.data_filters.ledger.source_row import SourceRow, sources_table
from framemill.data_filters.pack.cut import Cut
from framemill.data_filters.pack.plan import ShardPlan
from framemill.data_filters.pack.versions import VERSIONS, with_version
from framemill.data_filters.pack.worker import MANIFESTS, ShardManifest
from framemill.data_filters.report.summary import CurateResult, summarise
from framemill.platform import storage
from framemill.platform.aspect import aspect_ratio
from framemill.platform.dataset_commit import commit_dataset
from framemill.platform.frozen_config import digest, to_yaml

_SLACK_S = 1e-3
"""Tolerance in seconds when a length is rounded down to whole seconds: clip times are sums of rounded steps."""


def commit(
    config: CurateConfig,
    sources: Sequence[SourceRow],
    clips: ClipTable,
    plans: Sequence[ShardPlan],
    manifests: Sequence[ShardManifest],
) -> CurateResult:
    """Writes the tables and, last, the index of a new dataset version; returns the counts of the curation.

    Args:
        config: config of the curation.
        sources: all sources, sorted by path.
        clips: all clips, sorted by key, in their final states.
        plans: the shards that the dataset consists of; manifests of other shards are removed.
        manifests: the manifests of the packed shards.
    """
    samples = _sample_rows(clips, manifests, config.scores)
    summary = summarise(config.output, "", sources, clips)
    content = {"sources": {source.path for source in sources}, "clips": {sample["key"] for sample in samples}}
    index = commit_dataset(
        config.output,
        kind="curate",
        config_digest=digest(config),
        shards=[manifest.info for manifest in manifests if manifest.info.samples],
        samples=pa.Table.from_pylist(samples, _samples_schema(config.scores)),
        ledger={
            "sources": sources_table(sources),
            "clips": clips.to_table(clips_schema(config.scores, config.vectors)),
        },
        totals=summary.totals(),
        extra_files=lambda index: {
            "config.yaml": to_yaml(config).encode(),
            VERSIONS: with_version(config.output, index["digest"], content),
        },
    )
    _remove_manifests(config.output, {plan.name for plan in plans})
    return dataclasses.replace(summary, digest=index["digest"])


def _sample_rows(clips: ClipTable, manifests: Sequence[ShardManifest], scores: Sequence[str]) -> list[dict[str, Any]]:
    """Returns the rows of samples.parquet, one for each kept clip."""
    cuts = {key: cut for manifest in manifests for key, cut in manifest.cuts.items()}
    return [
        {
            "key": clip.key,
            **_bucket_columns(cuts[clip.key]),
            **cuts[clip.key].to_dict(),
            "caption": clip.caption,
            "captions": clip.captions,
            **{name: clip.score(name) for name in scores},
        }
        for clip in clips
        if clip.state == "kept"
    ]


def _bucket_columns(cut: Cut) -> dict[str, Any]:
    """Returns the columns of a clip's bucket, e.g. "16:9/5s": aspect-ratio class and whole seconds."""
    aspect, seconds = aspect_ratio(cut.width, cut.height), int(cut.duration + _SLACK_S)
    return {"bucket": f"{aspect}/{seconds}s", "aspect_ratio": aspect, "seconds": seconds}


def _samples_schema(scores: Sequence[str]) -> pa.Schema:
    """Returns the schema of samples.parquet without `shard` and `members`, which `commit_dataset` adds."""
    text, whole, real = pa.string(), pa.int64(), pa.float64()
    fixed = [
        ("key", text),
        ("bucket", text),
        ("aspect_ratio", text),
        ("seconds", whole),
        ("width", whole),
        ("height", whole),
        ("frames", whole),
        ("fps", real),
        ("duration", real),
        ("in_s", real),
        ("out_s", real),
        ("packed", text),
        ("caption", text),
        ("captions", pa.list_(pa.struct([("source", text), ("text", text), ("weight", real)]))),
    ]
    return pa.schema([*fixed, *((name, real) for name in scores)])


def _remove_manifests(output: str, planned: set[str]) -> None:
    """Deletes manifests of shards that are no longer planned."""
    folder = storage.join(output, MANIFESTS)
    for name in storage.list_dir(folder):
        if name.removesuffix(".json") not in planned:
            storage.remove(storage.join(folder, name))
