"""Shards are plain WebDataset tars with the same bytes each time, and an audit sees every change."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pyarrow as pa
import pytest
import webdataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from framemill.platform.audit import audit
from framemill.platform.dataset import Dataset, read_ledger
from framemill.platform.dataset_commit import commit_dataset
from framemill.platform.dataset_format import index_digest
from framemill.platform.errors import RequestError
from framemill.platform.shard_writer import Sample, write_shard
from framemill.platform.tables import write_table

KEYS = st.text("abcdef0123456789-_", min_size=1, max_size=90)
MEMBERS = st.dictionaries(
    st.sampled_from(["mp4", "json", "txt", "17x64x112.latent.npy"]), st.binary(max_size=1500), min_size=1
)


def make_dataset(folder: Path) -> Dataset:
    samples = [Sample(f"k{i}", {"mp4": bytes([i]) * (700 * i), "json": b'{"i": %d}' % i}) for i in (3, 1, 2)]
    written = [
        write_shard(f"{folder}/shards", "train", n, part, "0" * 8) for n, part in enumerate([samples[:2], samples[2:]])
    ]
    clips = pa.table({"key": ["k1", "k2", "k3", "k4"], "state": ["kept"] * 3 + ["filtered"]})
    sources = pa.table({"path": ["a.mp4", "b.mp4"], "clips": [4, 0]})
    commit_dataset(
        str(folder),
        kind="curate",
        config_digest="c",
        shards=written,
        totals={"clips": 4},
        samples=pa.table({"key": ["k1", "k2", "k3"], "score": [1.0, 2.0, 3.0]}),
        ledger={"clips": clips, "sources": sources},
    )
    return Dataset.open(str(folder))


@settings(max_examples=40, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.dictionaries(KEYS, MEMBERS, min_size=1, max_size=5))
def test_python_tarfile_reads_back_what_was_written(tmp_path: Path, content: dict[str, dict[str, bytes]]) -> None:
    info = write_shard(str(tmp_path), "train", 0, [Sample(k, m) for k, m in content.items()], "0" * 8)
    data = (tmp_path / info.name).read_bytes()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        found = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    assert found == {f"{k}.{e}": b for k, members in content.items() for e, b in members.items()}
    for key, members in info.members.items():
        assert {e: data[o : o + n] for e, o, n in members} == content[key]


def test_plain_webdataset_reads_the_shards(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path)
    urls = sorted(str(path) for path in (tmp_path / "shards").glob("*.tar"))
    read = {sample["__key__"]: sample for sample in webdataset.WebDataset(urls, shardshuffle=False)}
    assert list(read) == dataset.samples["key"].to_pylist() == ["k3", "k1", "k2"]
    for row, key in enumerate(read):
        assert dataset.read(row, "mp4") == read[key]["mp4"]
        assert json.loads(dataset.read(row, "json")) == {"i": int(key[1])}


def test_the_same_samples_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_dataset(tmp_path / name)
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*") if p.is_file())
    assert len(files) == 6
    assert all((tmp_path / "one" / f).read_bytes() == (tmp_path / "two" / f).read_bytes() for f in files)


@pytest.mark.parametrize("key", ["a.b", "a/b", "", "twice"])
def test_keys_that_would_break_a_shard_are_refused_and_leave_nothing(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="not fit"):
        write_shard(str(tmp_path), "train", 0, [Sample("twice", {}), Sample(key, {"txt": b""})], "0" * 8)
    assert list(tmp_path.iterdir()) == []


def test_audit_finds_one_changed_byte_anywhere(tmp_path: Path) -> None:
    make_dataset(tmp_path)
    assert audit(str(tmp_path)) == []
    for path in sorted(p for p in tmp_path.rglob("*") if p.is_file()):
        whole = path.read_bytes()
        for position in (0, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
            try:
                assert audit(str(tmp_path)), f"{path.name}: byte {position}"
            except RequestError:
                assert path.name == "index.json"
        path.write_bytes(whole)
    assert audit(str(tmp_path)) == []


def test_audit_finds_missing_and_extra_shards(tmp_path: Path) -> None:
    make_dataset(tmp_path)
    first = next((tmp_path / "shards").iterdir())
    extra = first.with_name("train-000009-00000000.tar")
    extra.write_bytes(first.read_bytes())
    assert any("not in the index" in problem for problem in audit(str(tmp_path)))
    extra.unlink()
    first.unlink()
    assert any("missing" in problem for problem in audit(str(tmp_path)))


def test_audit_finds_a_lost_ledger_row_even_under_a_new_index(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path)
    index = dict(dataset.index)
    clips = read_ledger(str(tmp_path), "clips")
    index["files"]["ledger/clips.parquet"] = write_table(str(tmp_path), "ledger/clips.parquet", clips.slice(1))
    index["digest"] = index_digest(index)
    (tmp_path / "index.json").write_text(json.dumps(index))
    assert any("4 clips were found" in problem for problem in audit(str(tmp_path)))


def test_a_newer_format_and_no_dataset_are_refused_clearly(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no dataset here"):
        Dataset.open(str(tmp_path))
    (tmp_path / "index.json").write_text('{"format_version": 99}')
    with pytest.raises(RequestError, match="format version 99"):
        Dataset.open(str(tmp_path))
