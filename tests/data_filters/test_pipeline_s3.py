"""Curation from and to an object store: the same bytes as on a local disk, no file fetched twice, no clip lost."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from framemill.data_filters.measure.messages import MeasureSettings
from framemill.data_filters.measure.worker import SourceWorker
from framemill.data_filters.sources.listing import list_sources
from framemill.data_filters.sources.source import read_sidecars, source_stamp
from framemill.jobs.cli import main
from framemill.jobs.status import status
from framemill.platform import storage
from framemill.platform.audit import audit
from framemill.platform.dataset import Dataset, read_ledger
from framemill.platform.writer_lock import WriterLock
from tests.support.console import kill_job_when
from tests.support.footage import moving, write
from tests.support.pool_items import do_item

NAMES = ("a.mp4", "b c.mp4", "deep/d \u00e9.mp4", "deep/two.mp4")
WORDS = ("clip.min_seconds=1", "clip.max_seconds=2.5", "pack.samples_per_shard=2", "pack.mode=exact")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    (folder / "deep").mkdir()
    for seed, name in enumerate(NAMES):
        write(folder / name, moving(seed) if name != "deep/two.mp4" else moving(seed, seconds=4))
    (folder / "a.txt").write_text("A disc.")
    (folder / "b c.json").write_text('{"tags": ["x"], "licence": "CC0"}')
    (folder / "broken.mp4").write_bytes((folder / "a.mp4").read_bytes()[:900])
    return folder


def upload(folder: Path, uri: str) -> str:
    for file in folder.rglob("*"):
        if file.is_file():
            storage.write_atomic(f"{uri}/{file.relative_to(folder)}", file.read_bytes())
    return uri


def words(input: object, output: object, tmp_path: Path) -> list[str]:
    return [f"input={input}", f"output={output}", "workers=2", f"tracking.uri=sqlite:///{tmp_path}/mlflow.db", *WORDS]


def contents(output: str) -> dict[str, bytes]:
    names = [name for name in storage.walk(output) if name == "index.json" or name.startswith("shards/")]
    return {name: storage.read_bytes(f"{output}/{name}") for name in names}


@pytest.fixture(scope="module")
def local(clips: Path, tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> str:
    """The clips curated from a local disk to a local disk."""
    folder = tmp_path_factory.mktemp("local")
    assert main(["curate", *words(clips, folder / "out", folder)]) == 0
    assert len(contents(str(folder / "out"))) == 4
    return str(folder / "out")


def test_from_a_bucket_to_a_bucket(
    clips: Path, local: str, bucket: str, s3: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos, output = upload(clips, f"{bucket}/videos"), f"{bucket}/dataset"
    before = len(s3.read_text().splitlines())
    assert main(["curate", *words(videos, output, tmp_path)]) == 0
    assert f"-> {output}" in capsys.readouterr().out
    asked = s3.read_text().splitlines()[before:]
    assert contents(output) == contents(local)
    assert audit(output).problems == [] and "complete" in status(output)[0]
    assert sorted(row["path"] for row in read_ledger(output, "sources").to_pylist()) == sorted((*NAMES, "broken.mp4"))
    dataset = Dataset.open(output)
    for row in range(len(dataset)):
        assert dataset.read(row, "mp4") == Dataset.open(local).read(row, "mp4")
    for name in ("a.mp4", "deep/two.mp4"):
        fetched = [line for line in asked if f"/videos/{name} " in line and re.search(r"GET ", line)]
        shards = {row["shard"] for row in dataset.samples.to_pylist() if row["key"] in keys_of(dataset, name)}
        assert len(fetched) == 1 + len(shards), "once to measure it, and once for each shard it goes into"
    assert len([line for line in asked if "list-type" in line and "prefix=videos/&delimiter=&" in line]) == 1


def keys_of(dataset: Dataset, path: str) -> set[str]:
    facts = [json.loads(dataset.read(row, "json")) for row in range(len(dataset))]
    return {fact["key"] for fact in facts if fact["path"] == path}


def test_from_a_bucket_to_a_folder_by_a_list(clips: Path, local: str, bucket: str, tmp_path: Path) -> None:
    videos = upload(clips, f"{bucket}/videos")
    listed = "\n".join(f"{videos}/{name}" for name in (*NAMES, "broken.mp4"))
    storage.write_atomic(f"{videos}/list.txt", listed.encode())
    assert main(["curate", *words(f"{videos}/list.txt", tmp_path / "out", tmp_path)]) == 0
    assert contents(str(tmp_path / "out")) == contents(local)


@pytest.mark.slow
def test_killed_half_way_it_goes_on_in_the_bucket(clips: Path, local: str, bucket: str, tmp_path: Path) -> None:
    output = f"{bucket}/dataset"
    job = ["curate", *words(clips, output, tmp_path)]
    kill_job_when(job, lambda: len(storage.list_dir(f"{output}/work/parts")) >= 2)
    assert "measured" in status(output)[0] and not storage.exists(f"{output}/index.json")
    assert main(["curate", *words(clips, output, tmp_path)]) == 0
    assert contents(output) == contents(local) and audit(output).problems == []


def test_a_source_removed_meanwhile_waits(clips: Path, bucket: str, tmp_path: Path) -> None:
    videos = upload(clips, f"{bucket}/videos")
    gone, changed, good = list_sources(videos)[:3]
    storage.remove(gone.uri)
    storage.write_atomic(changed.uri, storage.read_bytes(good.uri))
    with WriterLock(f"{bucket}/out") as lock:
        worker = SourceWorker(f"{bucket}/out", lock.token(), MeasureSettings(1.0, 10.0, ("motion",)), 60.0)
        assert do_item(worker, gone.to_json()).pending == "it is no longer there"
        assert do_item(worker, changed.to_json()).pending == "it changed after it was listed"
        assert do_item(worker, good.to_json()).pending == ""
    assert len(storage.list_dir(f"{bucket}/out/work/parts")) == 1


def test_listing_costs_no_request_a_file(bucket: str, s3: Path) -> None:
    from fsspec.core import url_to_fs

    count = 300
    filesystem = url_to_fs(bucket, use_listings_cache=False)[0]
    root = bucket.removeprefix("s3://")
    filesystem.pipe({f"{root}/in/{i % 7}/{i:04d}.mp4": b"x" * i for i in range(count)})
    filesystem.pipe({f"{root}/in/{i % 7}/{i:04d}.txt": b"words" for i in range(0, count, 3)})
    filesystem.pipe_file(f"{root}/in/0/.hidden/x.mp4", b"x")
    listed = "\n".join(f"{bucket}/in/{i % 7}/{i:04d}.mp4" for i in range(count))
    filesystem.pipe_file(f"{root}/list.txt", listed.encode())
    before = len(s3.read_text().splitlines())
    sources = list_sources(f"{bucket}/in")
    by_glob, by_list = list_sources(f"{bucket}/in/*/*.mp4"), list_sources(f"{bucket}/list.txt")
    requests = len(s3.read_text().splitlines()) - before
    assert len(sources) == len(by_glob) == len(by_list) == count and requests < 40
    assert {source.uri: source.stamp for source in by_list} == {source.uri: source.stamp for source in sources}
    for source in sources[:4]:
        assert source_stamp(source.uri) == source.stamp, "asked alone it is the same"
    assert {source.path for source in by_glob} == {source.path.removeprefix("in/") for source in sources}
    assert [source.path for source in list_sources(f"{bucket}/in/0/0000.mp4")] == ["0000.mp4"]
    assert read_sidecars(f"{bucket}/in/3/0003.mp4")[0] == "words"
    assert read_sidecars(f"{bucket}/in/1/0001.mp4")[0] is None


def test_a_bucket_that_is_not_there(clips: Path, tmp_path: Path, s3: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["curate", *words("s3://no-bucket-of-ours/videos", tmp_path / "out", tmp_path)]) == 2
    line = capsys.readouterr().err
    assert line.startswith("framemill: input=s3://no-bucket-of-ours/videos: there is no such folder or file; must be ")
    assert len(line.splitlines()) == 1
    assert main(["curate", *words(clips, "s3://no-bucket-of-ours/out", tmp_path)]) == 2
    line = capsys.readouterr().err
    assert line.startswith("framemill: s3://no-bucket-of-ours/out/") and line.endswith("there is no such bucket\n")
