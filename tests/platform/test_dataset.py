"""A dataset is read by member ranges, gives what webdataset reads, and refuses what is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import webdataset

from framemill.platform.dataset import Dataset
from framemill.platform.errors import RequestError
from tests.support.small_dataset import make_dataset


def test_plain_webdataset_reads_the_shards(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path)
    urls = sorted(str(path) for path in (tmp_path / "shards").glob("*.tar"))
    read = {sample["__key__"]: sample for sample in webdataset.WebDataset(urls, shardshuffle=False)}
    assert list(read) == dataset.samples["key"].to_pylist() == ["k3", "k1", "k2"]
    for row, key in enumerate(read):
        assert dataset.read(row, "mp4") == read[key]["mp4"]
        assert json.loads(dataset.read(row, "json")) == {"i": int(key[1])}


def test_a_newer_format_and_no_dataset_are_refused_clearly(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no dataset here"):
        Dataset.open(str(tmp_path))
    (tmp_path / "index.json").write_text('{"format_version": 99}')
    with pytest.raises(RequestError, match="format version 99"):
        Dataset.open(str(tmp_path))
