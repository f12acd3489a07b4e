"""A dataset of three samples that hold no video, for tests of the format."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from framemill.platform.dataset import Dataset
from framemill.platform.dataset_commit import commit_dataset
from framemill.platform.shard_writer import Sample, write_shard


def make_dataset(folder: Path) -> Dataset:
    """Writes a curated dataset of three samples in two shards, with both ledgers."""
    samples = [Sample(f"k{i}", {"mp4": bytes([i]) * (700 * i), "json": b'{"i": %d}' % i}) for i in (3, 1, 2)]
    shards_written = [
        write_shard(f"{folder}/shards", "train", n, part, "0" * 8) for n, part in enumerate([samples[:2], samples[2:]])
    ]
    clips = pa.table({"key": ["k1", "k2", "k3", "k4"], "state": ["kept"] * 3 + ["filtered"]})
    sources = pa.table({"path": ["a.mp4", "b.mp4"], "clips": [4, 0]})
    commit_dataset(
        str(folder),
        kind="curate",
        config_digest="c",
        shards=shards_written,
        totals={"clips": 4},
        samples=pa.table({"key": ["k1", "k2", "k3"], "score": [1.0, 2.0, 3.0]}),
        ledger={"clips": clips, "sources": sources},
    )
    return Dataset.open(str(folder))
