"""The audit finds every changed byte, missing or extra shard, and lost ledger row."""

from __future__ import annotations

import json
from pathlib import Path

from framemill.platform.audit import audit
from framemill.platform.dataset import read_ledger
from framemill.platform.dataset_format import index_digest
from framemill.platform.errors import RequestError
from framemill.platform.tables import write_table
from tests.support.small_dataset import make_dataset


def test_audit_finds_one_changed_byte_anywhere(tmp_path: Path) -> None:
    make_dataset(tmp_path)
    assert audit(str(tmp_path)).problems == []
    for path in sorted(p for p in tmp_path.rglob("*") if p.is_file()):
        whole = path.read_bytes()
        for position in (0, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
            try:
                assert audit(str(tmp_path)).problems, f"{path.name}: byte {position}"
            except RequestError:
                assert path.name == "index.json"
        path.write_bytes(whole)
    assert audit(str(tmp_path)).problems == []


def test_audit_finds_missing_and_extra_shards(tmp_path: Path) -> None:
    make_dataset(tmp_path)
    first = next((tmp_path / "shards").iterdir())
    extra = first.with_name("train-000009-00000000.tar")
    extra.write_bytes(first.read_bytes())
    assert any("not in the index" in problem for problem in audit(str(tmp_path)).problems)
    extra.unlink()
    first.unlink()
    assert any("missing" in problem for problem in audit(str(tmp_path)).problems)


def test_audit_finds_a_lost_ledger_row_even_under_a_new_index(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path)
    index = dict(dataset.index)
    clips = read_ledger(str(tmp_path), "clips")
    index["files"]["ledger/clips.parquet"] = write_table(str(tmp_path), "ledger/clips.parquet", clips.slice(1))
    index["digest"] = index_digest(index)
    (tmp_path / "index.json").write_text(json.dumps(index))
    assert any("4 clips were found" in problem for problem in audit(str(tmp_path)).problems)
