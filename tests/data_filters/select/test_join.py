"""Scores from outside are joined by key or path, and count as the scores of any filter."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from framemill.data_filters.config import CurateConfig
from framemill.data_filters.pipeline import curate
from framemill.data_filters.select.join import check_join, with_join_digest
from framemill.platform.dataset import Dataset, read_ledger
from framemill.platform.errors import RequestError
from tests.support.curation_output import PACK, Configure, clips_cut, dataset_bytes, finished_entries, sources_measured


def joined(configure: Configure, file: object, *words: str, columns: str = "[liked]") -> CurateConfig:
    return configure("-", "-", f"join.scores={file}", f"join.columns={columns}", *words)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("key,liked\na,1\nb,2\na,3\n", r"key a occurs more than once"),
        ("key,other\na,1\n", r"join\.columns=liked: is not in .*, which has key, other"),
        ("key,liked\na,1\nb,good\n", r"liked of key b is 'good', not a number"),
        ("path,liked\na,inf\n", r"liked of path a is not a finite number"),
        ("name,liked\na,1\n", r"neither a column key nor path; it has name, liked"),
        ("key,liked,said\na,1,2\n", r"join\.caption=said: holds int64 in .*, not text"),
        ("", r"cannot be read as Parquet or CSV"),
    ],
)
def test_a_wrong_file_is_told_in_one_line(configure: Configure, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(RequestError, match=message) as error:
        check_join(joined(configure, tmp_path / "s.csv", *(["join.caption=said"] if "said" in text else [])).join)
    assert "\n" not in str(error.value)


def test_wrong_keys_and_another_file_are_refused(configure: Configure, tmp_path: Path) -> None:
    file = tmp_path / "s.csv"
    file.write_text("key,liked\n007,1\n")
    with pytest.raises(RequestError, match="cannot be read"):
        with_join_digest(joined(configure, tmp_path / "none.csv").join)
    with pytest.raises(RequestError, match="its sha256 is"):
        with_join_digest(joined(configure, file, f"join.sha256={'0' * 64}").join)
    with pytest.raises(RequestError, match=r"join\.columns=motion: must be a name that no other"):
        joined(configure, file, columns="[motion]")
    with pytest.raises(RequestError, match=r"join\.columns=\[\]"):
        joined(configure, file, columns="[]")
    assert len(with_join_digest(joined(configure, file).join).sha256) == 64


def test_joined_scores_are_in_the_tables_and_are_selected_by(
    footage: Path, configure: Configure, tmp_path: Path, ray_session: None
) -> None:
    whole = tmp_path / "whole"
    curate(configure(footage, whole, *PACK, "select=all"))
    rows = sorted(read_ledger(str(whole), "clips").to_pylist(), key=lambda row: row["key"])
    keys = [row["key"] for row in rows if row["state"] == "kept"]
    scores = {key: i + 0.1234567 for i, key in enumerate(keys[:-1])}
    table = pa.table(
        {
            "key": ["elsewhere", *scores],
            "liked": [9.0, *scores.values()],
            "words": [None, *(f"Said of {key}." for key in scores)],
        }
    )
    pq.write_table(table, tmp_path / "s.parquet")
    words = (*PACK, "select=all", f"join.scores={tmp_path / 's.parquet'}", "join.columns=[liked]")
    words += ("join.caption=words", "select.bands.liked={min: 2}")
    curate(configure("", tmp_path / "new", f"from={whole}", *words))
    entries = finished_entries(tmp_path / "new")
    assert sources_measured(entries) == set() and clips_cut(entries) == 0, "nothing is decoded for it"
    clips = {row["key"]: row for row in read_ledger(str(tmp_path / "new"), "clips").to_pylist()}
    assert {key: clips[key]["liked"] for key in keys} == {
        key: round(scores[key], 6) if key in scores else None for key in keys
    }
    states = [(clips[key]["state"], clips[key]["reason"]) for key in keys]
    assert states[:2] == [("filtered", "liked below 2")] * 2
    assert states[2:-1] == [("kept", None)] * (len(keys) - 3)
    assert states[-1] == ("failed", "liked is not in join.scores"), "a missing score does not pass a band"
    new = Dataset.open(str(tmp_path / "new"))
    assert new.samples["key"].to_pylist() == keys[2:-1]
    assert new.samples["liked"].to_pylist() == [clips[key]["liked"] for key in keys[2:-1]]
    assert json.loads(new.read(0, "json"))["scores"]["liked"] == clips[keys[2]]["liked"]
    assert new.samples["caption"].to_pylist() == [f"Said of {key}." for key in keys[2:-1]]
    assert (
        new.read(0, "txt").decode() == f"Said of {keys[2]}."
        and new.samples["captions"][0].as_py()[0]["source"] == "joined"
    )
    curate(configure(footage, tmp_path / "direct", *words))
    assert dataset_bytes(tmp_path / "new") == dataset_bytes(tmp_path / "direct")
    curate(configure("", tmp_path / "again", f"from={tmp_path / 'new'}", *words))
    assert dataset_bytes(tmp_path / "again") == dataset_bytes(tmp_path / "new"), "what was missing is judged anew"
