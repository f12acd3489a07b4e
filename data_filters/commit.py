"""The last step of a curation: its tables, and an index that makes them and the shards a version of the dataset."""

from __future__ import annotations

import dataclasses
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

Row = dict[str, Any]
SLACK_S = 1e-3
"""A clip that misses a whole second by less lasts it: times are sums of rounded steps."""


def commit(
    config: CurateConfig,
    sources: list[SourceRow],
    clips: ClipTable,
    plans: list[ShardPlan],
    manifests: list[ShardManifest],
) -> CurateResult:
    """Writes the tables and, last, the index."""
    samples = sample_rows(clips, manifests, config.scores)
    summary = summarise(config.output, "", sources, clips)
    held = {"sources": {source.path for source in sources}, "clips": {sample["key"] for sample in samples}}
    index = commit_dataset(
        config.output,
        kind="curate",
        config_digest=digest(config),
        shards=[manifest.info for manifest in manifests if manifest.info.samples],
        samples=pa.Table.from_pylist(samples, samples_schema(config.scores)),
        ledger={
            "sources": sources_table(sources),
            "clips": clips.to_table(clips_schema(config.scores, config.vectors)),
        },
        totals=summary.totals(),
        extra_files=lambda index: {
            "config.yaml": to_yaml(config).encode(),
            VERSIONS: with_version(config.output, index["digest"], held),
        },
    )
    remove_manifests(config.output, {plan.name for plan in plans})
    return dataclasses.replace(summary, digest=index["digest"])


def sample_rows(clips: ClipTable, manifests: list[ShardManifest], scores: list[str]) -> list[Row]:
    """A row of samples.parquet for each clip that was packed."""
    cuts = {key: cut for manifest in manifests for key, cut in manifest.cuts.items()}
    return [
        {
            "key": clip["key"],
            **bucket_of(cuts[clip["key"]]),
            **cuts[clip["key"]].to_dict(),
            **{name: clip[name] for name in ("caption", "captions", *scores)},
        }
        for clip in clips
        if clip["state"] == "kept"
    ]


def bucket_of(cut: Cut) -> Row:
    """A clip's aspect-ratio class and the whole seconds it lasts, together its bucket: "16:9/5s"."""
    aspect, seconds = aspect_ratio(cut.width, cut.height), int(cut.duration + SLACK_S)
    return {"bucket": f"{aspect}/{seconds}s", "aspect_ratio": aspect, "seconds": seconds}


def samples_schema(scores: list[str]) -> pa.Schema:
    """Columns of samples.parquet but those that say where a sample lies."""
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
        ("caption", text),
        ("captions", pa.list_(pa.struct([("source", text), ("text", text), ("weight", real)]))),
    ]
    return pa.schema([*fixed, *((name, real) for name in scores)])


def remove_manifests(output: str, planned: set[str]) -> None:
    """Removes what was noted of shards that are gone."""
    folder = storage.join(output, MANIFESTS)
    for name in storage.list_dir(folder):
        if name.removesuffix(".json") not in planned:
            storage.remove(storage.join(folder, name))
