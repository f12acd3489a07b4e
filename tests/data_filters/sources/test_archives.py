"""Zips in the layout of SANA-Video's datasets: each video is a source, with sidecars inside and next to the zip."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import pytest

from framemill.data_filters.pipeline import curate
from framemill.data_filters.sources.archives import archive_uri, split_zip_uri, zip_member_uri
from framemill.data_filters.sources.listing import list_sources
from framemill.data_filters.sources.source import fetch_source, read_sidecars, source_stamp
from framemill.data_filters.sources.zip_archive import table_names
from framemill.platform import storage
from framemill.platform.audit import audit
from framemill.platform.dataset import Dataset, read_ledger
from tests.support.curation_output import Configure
from tests.support.footage import moving, write

ODD = "we::ird %41.mp4"


@pytest.fixture(scope="module")
def zips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two good zips, one with dangerous names, one cut off, one partly encrypted, and a plain video."""
    root = tmp_path_factory.mktemp("zips")
    folder = root / "in"
    folder.mkdir()
    clips = [write(root / f"{seed}.mp4", moving(seed)).read_bytes() for seed in range(5)]
    with zipfile.ZipFile(folder / "part.zip", "w") as made:
        made.writestr("k1.mp4", clips[0])
        made.writestr("k1.json", json.dumps({"prompt": "The old words.", "width": 128, "height": 72, "tags": ["t"]}))
        made.writestr("deep/k2.mp4", clips[1], zipfile.ZIP_DEFLATED)
        made.writestr("k3.npy", b"latents")
        made.writestr("__MACOSX/._k1.mp4", b"x")
    (folder / "part_Qwen2.5-VL.json").write_text(json.dumps({"k1": {"prompt": "A grey disc goes left."}}))
    (folder / "part_unimatch.json").write_text('{"k1": {"score": [1.5, 2.5]}, "k2": 4.0, "other": {"score": NaN}}')
    with zipfile.ZipFile(folder / "part_two.zip", "w") as made:
        made.writestr(ODD, clips[2])
        made.writestr("k1.mp4", clips[3])
        made.writestr("k1.json", "{")
    (folder / "part_two_unimatch.json").write_text(json.dumps({ODD[:-4]: {"score": 9}}))
    with zipfile.ZipFile(folder / "evil.zip", "w") as made:
        for name in ("../out.mp4", "/abs.mp4", "C:/c.mp4", "..\\back.mp4"):
            made.writestr(name, clips[4])
    whole = (folder / "part.zip").read_bytes()
    (folder / "cut.zip").write_bytes(whole[: len(whole) // 2])
    damaged = bytearray((folder / "part_two.zip").read_bytes())
    damaged[3000] ^= 255
    (folder / "damaged.zip").write_bytes(damaged)
    (folder / "plain.mp4").write_bytes(clips[4])
    return folder


GOOD = ["part.zip/deep/k2.mp4", "part.zip/k1.mp4", "part_two.zip/k1.mp4", f"part_two.zip/{ODD}"]


def test_each_video_of_a_zip_is_a_source(zips: Path) -> None:
    def paths(input: str) -> list[str]:
        return [source.path for source in list_sources(input)]

    evil = ["evil.zip/../out.mp4", "evil.zip/..\\back.mp4", "evil.zip//abs.mp4", "evil.zip/C:/c.mp4"]
    damaged = ["damaged.zip/k1.mp4", f"damaged.zip/{ODD}"]
    assert paths(str(zips)) == sorted([*GOOD, *evil, *damaged, "cut.zip", "plain.mp4"])
    assert paths(f"{zips}/part*.zip") == GOOD
    assert paths(f"{zips}/part.zip") == GOOD[:2]
    (zips.parent / "list.txt").write_text("in/part.zip\nin/plain.mp4\n")
    assert paths(f"{zips.parent}/list.txt") == ["in/part.zip/deep/k2.mp4", "in/part.zip/k1.mp4", "in/plain.mp4"]


@pytest.mark.parametrize("name", ["a.mp4", ODD, "x::/y%3A.mp4", "../z.mp4"])
@pytest.mark.parametrize("archive", ["/a::b/c.zip", "s3://bucket/a b.zip", "rel.zip"])
def test_a_uri_names_one_member(name: str, archive: str) -> None:
    assert split_zip_uri(zip_member_uri(archive, name)) == (archive, name)
    assert archive_uri(zip_member_uri(archive, name)) == archive and archive_uri(archive) is None


def test_what_is_said_inside_and_beside(zips: Path) -> None:
    sources = {source.path: source for source in list_sources(str(zips))}
    caption, provenance = read_sidecars(sources["part.zip/k1.mp4"].uri)
    assert caption == "A grey disc goes left." and provenance["tags"] == ["t"]
    assert json.loads(provenance["external"]) == {
        "Qwen2.5-VL": {"prompt": "A grey disc goes left."},
        "unimatch": {"score": [1.5, 2.5]},
    }
    assert json.loads(read_sidecars(sources["part.zip/deep/k2.mp4"].uri)[1]["external"]) == {"unimatch": 4.0}
    assert json.loads(read_sidecars(sources[f"part_two.zip/{ODD}"].uri)[1]["external"]) == {"unimatch": {"score": 9}}
    names = os.listdir(zips)
    assert table_names("part.zip", names) == ["part_Qwen2.5-VL.json", "part_unimatch.json"]
    assert table_names("part_two.zip", names) == ["part_two_unimatch.json"]


def test_a_new_score_beside_a_zip_is_seen(zips: Path, tmp_path: Path) -> None:
    (tmp_path / "part.zip").write_bytes((zips / "part.zip").read_bytes())
    source = list_sources(str(tmp_path))[0]
    assert source_stamp(source.uri) == source.stamp
    (tmp_path / "part_unimatch.json").write_text("{}")
    assert source_stamp(source.uri) != source.stamp
    assert list_sources(str(tmp_path))[0].stamp == source_stamp(source.uri)


def test_curated_whole(zips: Path, configure: Configure, tmp_path: Path, ray_session: None) -> None:
    output = tmp_path / "out"
    curate(configure(zips, output, "workers=2", "captions=[sidecar,descriptor]"))
    rows = {row["path"]: row for row in read_ledger(str(output), "sources").to_pylist()}
    assert len(rows) == 12 and audit(str(output)).problems == []
    for name in ("evil.zip/../out.mp4", "evil.zip//abs.mp4", "evil.zip/C:/c.mp4", "evil.zip/..\\back.mp4"):
        assert (rows[name]["state"], rows[name]["reason"]) == ("failed", "its name leads out of the archive")
    assert rows["cut.zip"]["state"] == "failed" and "not a readable zip" in rows["cut.zip"]["reason"]
    assert rows["part_two.zip/k1.mp4"]["reason"] == "k1.json beside it is not JSON"
    assert "CRC" in rows[f"damaged.zip/{ODD}"]["reason"]
    assert [rows[name]["state"] for name in (*GOOD[:2], GOOD[3], "plain.mp4")] == ["ok"] * 4
    assert json.loads(rows["part.zip/k1.mp4"]["provenance"]["external"])["unimatch"] == {"score": [1.5, 2.5]}
    dataset = Dataset.open(str(output))
    facts = {fact["path"]: fact for row in range(len(dataset)) for fact in [json.loads(dataset.read(row, "json"))]}
    assert facts["part.zip/k1.mp4"]["external"]["unimatch"] == {"score": [1.5, 2.5]}
    assert facts["part.zip/k1.mp4"]["caption"] == "A grey disc goes left."
    assert "external" not in facts["plain.mp4"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"], "nothing was written beside the output"


def test_in_a_bucket_a_member_is_read_by_range(zips: Path, bucket: str, s3: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "big.zip", "w") as made:
        made.writestr("k1.mp4", (zips / "plain.mp4").read_bytes())
        made.writestr("filler.bin", os.urandom(24 << 20))
        made.writestr("k2.mp4", (zips / "plain.mp4").read_bytes())
    storage.commit_file(str(tmp_path / "big.zip"), f"{bucket}/in/big.zip")
    storage.write_atomic(f"{bucket}/in/big_unimatch.json", b'{"k2": 7}')
    sources = list_sources(f"{bucket}/in")
    assert [source.path for source in sources] == ["big.zip/k1.mp4", "big.zip/k2.mp4"]
    before = len(s3.read_text().splitlines())
    with fetch_source(sources[1].uri) as path:
        assert Path(path).read_bytes() == (zips / "plain.mp4").read_bytes()
    asked = [line for line in s3.read_text().splitlines()[before:] if "GET /" in line and "big.zip" in line]
    assert asked and all(" 206 " in line for line in asked) and len(asked) < 8
    assert read_sidecars(sources[1].uri)[1]["external"] == '{"unimatch": 7}'
    assert source_stamp(sources[1].uri) == sources[1].stamp
