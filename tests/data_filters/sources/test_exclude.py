"""Sources excluded by path, tag or licence are in the ledger and are never decoded."""

import json
from pathlib import Path

import pytest

from framemill.data_filters.ledger.source_row import excluded_row
from framemill.data_filters.pipeline import curate
from framemill.data_filters.sources.config import DropConfig
from framemill.data_filters.sources.exclude import exclude_sources
from framemill.data_filters.sources.listing import list_sources
from framemill.platform.dataset import read_ledger
from tests.support.curation_output import Configure


@pytest.mark.parametrize(
    ("rules", "left_out"),
    [
        (DropConfig(), {}),
        (DropConfig(paths=["deep/*"]), {"deep/c.mp4": "dropped by path deep/*"}),
        (DropConfig(tags=["adv*"]), {"a.mp4": "dropped by tag adv*"}),
        (DropConfig(licences=["CC-BY-NC*"]), {"b.mp4": "dropped by licence CC-BY-NC*"}),
        (
            DropConfig(licences=[""]),
            {"a.mp4": "dropped for want of a licence", "deep/c.mp4": "dropped for want of a licence"},
        ),
    ],
)
def test_what_is_left_out_and_why(tmp_path: Path, rules: DropConfig, left_out: dict[str, str]) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("a.mp4", "b.mp4", "deep/c.mp4"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "a.json").write_text(json.dumps({"tags": ["news", "advert"]}))
    (tmp_path / "b.json").write_text(json.dumps({"license": "CC-BY-NC-4.0"}))
    kept, excluded = exclude_sources(list_sources(str(tmp_path)), rules)
    rows = [excluded_row(source.path, source.provenance, source.exclusion) for source in excluded]
    assert {row.path: str(row.reason) for row in rows} == left_out
    assert {source.path for source in kept} == {"a.mp4", "b.mp4", "deep/c.mp4"} - set(left_out)
    assert all(row.state == "filtered" and row.clips == 0 for row in rows)


def test_a_sidecar_that_cannot_be_read_drops_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    (tmp_path / "a.json").write_text("{")
    sources = list_sources(str(tmp_path))
    assert exclude_sources(sources, DropConfig(licences=[""], tags=["*"])) == (sources, [])
    assert exclude_sources(sources, DropConfig(paths=["a*"]))[0] == []


def test_nothing_decodes_them(footage: Path, configure: Configure, tmp_path: Path, ray_session: None) -> None:
    (tmp_path / "in").mkdir()
    for name in ("static.mp4", "short.mp4"):
        (tmp_path / "in" / name).write_bytes((footage / name).read_bytes())
    curate(configure(tmp_path / "in", tmp_path / "out", "drop.paths=[static*]", "workers=1"))
    rows = {row["path"]: row for row in read_ledger(str(tmp_path / "out"), "sources").to_pylist()}
    assert rows["static.mp4"]["reason"] == "dropped by path static*" and rows["static.mp4"]["state"] == "filtered"
    assert rows["short.mp4"]["reason"] == "shorter than 2 s"
    assert "static" not in (tmp_path / "out" / "work" / "journal.jsonl").read_text()
