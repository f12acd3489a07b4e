"""Commits encoded shards as a dataset, with the rows and the ledger of the dataset that was encoded."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa

from framemill.platform.dataset import Dataset
from framemill.platform.dataset_commit import commit_dataset
from framemill.platform.frozen_config import digest
from framemill.platform.shard_writer import Member, ShardInfo
from framemill.training.data.latent_index import LatentIndex
from framemill.training.encoding.config import EncodeConfig

_LEDGERS = ("sources", "clips")
_LATENT_SUFFIX = ".latent.npy"


def commit_latents(
    config: EncodeConfig, source: Dataset, shards: list[ShardInfo], latent_index: LatentIndex
) -> dict[str, Any]:
    """Commits the shards as a dataset and returns its index.

    Args:
        config: config of the job.
        source: dataset of video that was encoded.
        shards: the encoded shards, in order.
        latent_index: entries of the index about latents and text embeddings.
    """
    buckets_by_key = {key: _latent_buckets(members) for shard in shards for key, members in shard.members.items()}
    buckets = [buckets_by_key[key] for key in source.samples["key"].to_pylist()]
    replaced = ("shard", "members", "bucket", "buckets")
    table = source.samples.drop_columns([name for name in replaced if name in source.samples.column_names])
    table = table.append_column("bucket", pa.array([names[0] if names else "" for names in buckets], pa.string()))
    table = table.append_column("buckets", pa.array(buckets, pa.list_(pa.string())))
    counts = Counter(name for names in buckets for name in names)
    return commit_dataset(
        config.output,
        kind="encode",
        config_digest=digest(config),
        shards=shards,
        samples=table,
        # The ledger is copied unchanged, so the format version is the input's.
        ledger={name: source.ledger(name) for name in _LEDGERS},
        format_version=source.index["format_version"],
        totals={
            "samples": len(source),
            "latents": counts.total(),
            "without_latent": buckets.count([]),
            "buckets": dict(sorted(counts.items())),
        },
        extra=latent_index.values(),
    )


def _latent_buckets(members: list[Member]) -> list[str]:
    """Returns the buckets in which a sample has latents, in the order of its members."""
    return [name.removesuffix(_LATENT_SUFFIX) for name, _, _ in members if name.endswith(_LATENT_SUFFIX)]
