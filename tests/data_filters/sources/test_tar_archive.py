"""WebDataset tars as sources, in the layouts of video2dataset and cosmos-curate, written by `webdataset` itself."""

from __future__ import annotations

import io
import json
import os
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import webdataset

from framemill.data_filters.config import CurateConfig
from framemill.data_filters.pipeline import curate
from framemill.data_filters.sources.archive_errors import ArchiveError
from framemill.data_filters.sources.disk_space import bytes_needed
from framemill.data_filters.sources.listing import list_sources
from framemill.data_filters.sources.source import Source, fetch_source, read_sidecars, source_stamp
from framemill.data_filters.sources.tar_archive import ByteRange, TarVideo
from framemill.platform import storage
from framemill.platform.audit import audit
from framemill.platform.dataset import read_index, read_ledger
from tests.support.footage import moving, write

UUID = "0b6f1b3e-5a83-5f5c-8d1e-6d6f0f6f2a11"
OTHER_UUID = "9e3d1a52-0f3d-5b2f-a7d3-2f1c4cf31d77"
BIN = "v0/resolution_480/aspect_ratio_16_9/frames_0_255"
Configure = Callable[..., CurateConfig]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Five different videos."""
    folder = tmp_path_factory.mktemp("clips")
    return [write(folder / f"{seed}.mp4", moving(seed)).read_bytes() for seed in range(5)]


def write_tar(path: Path, samples: list[dict[str, bytes | str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with webdataset.TarWriter(str(path), mtime=0) as writer:
        for sample in samples:
            writer.write(sample)
    return path


def video2dataset(folder: Path, shard: int, clips: list[bytes]) -> Path:
    """A shard in the layout of video2dataset's WebDatasetSampleWriter; its last sample could not be downloaded."""
    samples: list[dict[str, bytes | str]] = []
    for number, clip in enumerate([*clips, b""]):
        key = f"{shard:05d}{number:04d}"
        values = {"url": f"https://host/{key}", "caption": f"Clip {key}.", "key": key, "status": "success"}
        values |= {"license": "CC0"} if number == 0 else {}
        video: dict[str, bytes | str] = {"mp4": clip} if clip else {}
        samples.append({"__key__": key, **video, "txt": f"Clip {key}.", "json": json.dumps(values, indent=4)})
    path = write_tar(folder / f"{shard:05d}.tar", samples)
    (folder / f"{shard:05d}_stats.json").write_text(json.dumps({"count": len(samples), "successes": len(clips)}))
    (folder / f"{shard:05d}.parquet").write_bytes(b"PAR1")
    return path


def cosmos_curate(folder: Path, clips: dict[str, bytes], metas: dict[str, dict]) -> Path:
    """Three parallel tars in the layout of cosmos-curate's DownloadPackUpload: video, metadata, text embeddings."""
    tar = "part_000000/000000.tar"
    write_tar(folder / BIN / "metas" / tar, [{"__key__": k, "json": json.dumps(v)} for k, v in metas.items()])
    write_tar(folder / BIN / "t5_xxl" / tar, [{"__key__": key, "pickle": pickle.dumps([0.5])} for key in clips])
    return write_tar(folder / BIN / "video" / tar, [{"__key__": key, "mp4": clip} for key, clip in clips.items()])


METAS = {
    "span_uuid": UUID,
    "source_video": "s3://raw/film.mp4",
    "duration_span": [3.0, 5.5],
    "motion_score": {"global_mean": 0.01, "per_patch_min_256": 0.002},
    "windows": [
        {"start_frame": 0, "end_frame": 128},
        {"start_frame": 128, "end_frame": 256, "qwen_caption": "A disc.", "qwen_enhanced_caption": "A grey disc goes."},
    ],
    "valid": True,
}


def paths(sources: list[Source]) -> list[str]:
    return [source.path for source in sources]


def content(source: Source) -> bytes:
    with fetch_source(source.uri) as path:
        return Path(path).read_bytes()


def test_video2datasets_shards(tmp_path: Path, clips: list[bytes]) -> None:
    shard = video2dataset(tmp_path, 0, clips[:2])
    (tmp_path / "plain.mp4").write_bytes(clips[2])
    every = ["00000.tar/000000000.mp4", "00000.tar/000000001.mp4", "plain.mp4"]
    sources = list_sources(str(tmp_path))
    assert paths(sources) == every
    assert [content(source) for source in sources] == clips[:3]
    assert [read_sidecars(source.uri)[0] for source in sources] == ["Clip 000000000.", "Clip 000000001.", None]
    assert [read_sidecars(source.uri)[1]["licence"] for source in sources] == ["CC0", None, None]
    assert paths(list_sources(str(shard))) == every[:2]
    assert paths(list_sources(f"{tmp_path}/*.tar")) == every[:2]
    (tmp_path / "list.txt").write_text("00000.tar\n")
    assert paths(list_sources(f"{tmp_path}/list.txt")) == every[:2]
    assert bytes_needed(sources, "copy") == shard.stat().st_size + len(clips[2]), "an archive counts once"


def test_cosmos_curates_parallel_tars(tmp_path: Path, clips: list[bytes]) -> None:
    video = cosmos_curate(tmp_path, {UUID: clips[0], OTHER_UUID: clips[1]}, {UUID: METAS})
    sources = list_sources(str(tmp_path))
    assert paths(sources) == [f"{BIN}/video/part_000000/000000.tar/{key}.mp4" for key in (UUID, OTHER_UUID)]
    assert [content(source) for source in sources] == clips[:2]
    caption, provenance = read_sidecars(sources[0].uri)
    assert caption == "A grey disc goes." and json.loads(provenance["external"]) == {"metas": METAS}
    assert read_sidecars(sources[1].uri) == (None, {"tags": [], "licence": None, "external": None})
    assert [source_stamp(source.uri) for source in sources] == [source.stamp for source in sources]
    assert [source.uri for source in list_sources(str(video))] == [source.uri for source in sources]
    cosmos_curate(tmp_path, {UUID: clips[0], OTHER_UUID: clips[1]}, {UUID: METAS, OTHER_UUID: METAS})
    assert source_stamp(sources[0].uri) != sources[0].stamp, "the metadata changed"
    assert read_sidecars(list_sources(str(tmp_path))[1].uri)[0] == "A grey disc goes."


@pytest.mark.parametrize(
    "caption", [None, {"windows": "none"}, {"windows": [7, {"qwen_caption": " "}]}, {"windows": [{"qwen_caption": 3}]}]
)
def test_metadata_without_a_caption(tmp_path: Path, clips: list[bytes], caption: dict | None) -> None:
    cosmos_curate(tmp_path, {UUID: clips[0]}, {UUID: caption or {}})
    assert read_sidecars(list_sources(str(tmp_path))[0].uri)[0] is None


def test_names_and_keys(tmp_path: Path, clips: list[bytes]) -> None:
    """A key ends at the first dot of the base name; a video's own sidecar takes precedence over its key's sidecar."""
    samples = [
        {"__key__": "de ep.v1/clip ü", "mp4": clips[0], "txt": "Of the key."},
        {"__key__": "we::ird ?&%41", "left.mp4": clips[1], "right.mp4": clips[2], "txt": "Both.", "left.txt": "Left."},
    ]
    write_tar(tmp_path / "names é.tar", [dict(sample) for sample in samples])
    captions = {source.path: read_sidecars(source.uri)[0] for source in list_sources(str(tmp_path))}
    assert captions == {
        "names é.tar/de ep.v1/clip ü.mp4": "Of the key.",
        "names é.tar/we::ird ?&%41.left.mp4": "Left.",
        "names é.tar/we::ird ?&%41.right.mp4": "Both.",
    }
    assert [content(source) for source in list_sources(str(tmp_path))] == clips[:3]


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def test_tars_that_others_wrote(tmp_path: Path, clips: list[bytes]) -> None:
    """Names with `./` of GNU tar, scattered and repeated members, links, hidden files, names that lead out."""
    with tarfile.open(tmp_path / "odd.tar", "w") as tar:
        for name, data in (("./a.mp4", clips[0]), ("b.mp4", clips[1]), ("./a.txt", b"A."), ("b.txt", b"B.")):
            add(tar, name, data)
        add(tar, "b.mp4", clips[2])
        for name in ("._a.mp4", ".hidden/c.mp4", "../out.mp4", "/abs.mp4"):
            add(tar, name, clips[3])
        link = tarfile.TarInfo("link.mp4")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    sources = {source.path: source for source in list_sources(str(tmp_path))}
    assert sorted(sources) == ["odd.tar/../out.mp4", "odd.tar//abs.mp4", "odd.tar/a.mp4", "odd.tar/b.mp4"]
    assert content(sources["odd.tar/a.mp4"]) == clips[0] and content(sources["odd.tar/b.mp4"]) == clips[2]
    assert [read_sidecars(sources[f"odd.tar/{key}.mp4"].uri)[0] for key in "ab"] == ["A.", "B."]
    for name in ("odd.tar/../out.mp4", "odd.tar//abs.mp4"):
        with pytest.raises(ArchiveError, match="leads out of the archive"):
            content(sources[name])


def problem(source: Source) -> str:
    with pytest.raises(ArchiveError) as caught, fetch_source(source.uri):
        pass
    return str(caught.value)


def test_a_broken_tar_gives_its_whole_members_and_the_reason(tmp_path: Path, clips: list[bytes]) -> None:
    whole = video2dataset(tmp_path / "whole", 0, clips[:2]).read_bytes()
    with tarfile.open(tmp_path / "whole" / "00000.tar") as tar:
        second = tar.getmember("000000001.mp4")
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "words.tar").write_text("no tar at all\n" * 100)
    (folder / "empty.tar").write_bytes(b"")
    (folder / "cut.tar").write_bytes(whole[: second.offset_data + second.size // 2])
    damaged = bytearray(whole)
    damaged[second.offset : second.offset + 512] = b"\xff" * 512
    (folder / "damaged.tar").write_bytes(damaged)
    (folder / "no-end.tar").write_bytes(whole[: second.offset])
    sources = {source.path: source for source in list_sources(str(folder))}
    first = "000000000.mp4"
    broken, readable = ["cut.tar", "damaged.tar", "empty.tar", "words.tar"], ["cut.tar", "damaged.tar", "no-end.tar"]
    assert sorted(sources) == sorted([*broken, *(f"{name}/{first}" for name in readable)])
    assert problem(sources["words.tar"]) == "not a readable tar (invalid header)"
    assert problem(sources["empty.tar"]) == "not a readable tar (empty file)"
    assert problem(sources["cut.tar"]) == "breaks off inside 000000001.mp4"
    assert problem(sources["damaged.tar"]) == "damaged after 4 members"
    for name in ("cut.tar", "damaged.tar", "no-end.tar"):
        assert content(sources[f"{name}/{first}"]) == clips[0]
        assert read_sidecars(sources[f"{name}/{first}"].uri)[0] == "Clip 000000000."
    (folder / "cut.tar").write_bytes(whole[:2048])
    with pytest.raises(ArchiveError, match=r"breaks off inside 000000000\.mp4"):
        content(sources[f"cut.tar/{first}"])


def test_a_dataset_below_its_own_input_is_no_source(tmp_path: Path, clips: list[bytes]) -> None:
    video2dataset(tmp_path, 0, clips[:1])
    write_tar(tmp_path / "out" / "shards" / "train-000000-abcd.tar", [{"__key__": "k", "mp4": clips[1]}])
    assert len(list_sources(str(tmp_path))) == 2
    (tmp_path / "out" / "config.yaml").write_text("input: .\n")
    assert paths(list_sources(str(tmp_path))) == ["00000.tar/000000000.mp4"]
    assert paths(list_sources(str(tmp_path / "out"))) == ["shards/train-000000-abcd.tar/k.mp4"]


@pytest.mark.parametrize("name", ["a.mp4", "we::ird ?&%41.mp4", "../z é.mp4", "bad\udcff.mp4"])
@pytest.mark.parametrize("archive", ["/a::b/c.tar", "s3://bucket/a b.tar", "rel.tar"])
def test_a_uri_names_one_video_and_its_ranges(name: str, archive: str) -> None:
    video = TarVideo(archive, name, {"video": ByteRange(512, 2000), "txt": ByteRange(3072, 0)})
    assert TarVideo.parse(video.uri) == video


@pytest.mark.ray
def test_curated_and_grown(
    tmp_path: Path, clips: list[bytes], configure: Configure, ray_session: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, output = tmp_path / "in", tmp_path / "out"
    video2dataset(folder, 0, clips[:2])
    cosmos_curate(folder, {UUID: clips[2]}, {UUID: METAS})
    (folder / "plain.mp4").write_bytes(clips[3])
    cut = (folder / "00000.tar").read_bytes()
    (folder / "cut.tar").write_bytes(cut[: len(cut) // 2])
    words = ("workers=2", "captions=[sidecar,descriptor]", "select=all", "dedup.near=null", "limit=0")
    curate(configure(folder, output, *words))
    rows = {row["path"]: row for row in read_ledger(str(output), "sources").to_pylist()}
    video = f"{BIN}/video/part_000000/000000.tar/{UUID}.mp4"
    assert audit(str(output)).problems == []
    assert {path: row["state"] for path, row in rows.items() if not path.startswith("cut.tar/")} == {
        "00000.tar/000000000.mp4": "ok",
        "00000.tar/000000001.mp4": "ok",
        video: "ok",
        "plain.mp4": "ok",
        "cut.tar": "failed",
    }
    assert "breaks off inside" in rows["cut.tar"]["reason"]
    assert rows["00000.tar/000000000.mp4"]["provenance"]["licence"] == "CC0"
    assert json.loads(rows[video]["provenance"]["external"])["metas"]["source_video"] == "s3://raw/film.mp4"
    captions = {clip["path"]: clip["caption"] for clip in read_ledger(str(output), "clips").to_pylist()}
    assert captions[video] == "A grey disc goes." and captions["00000.tar/000000001.mp4"] == "Clip 000000001."

    video2dataset(folder, 1, clips[4:])
    (output / "work" / "journal.jsonl").unlink()
    curate(configure(folder, output, *words))
    events = [json.loads(line) for line in (output / "work" / "journal.jsonl").read_text().splitlines()]
    assert {event["path"] for event in events if "path" in event} == {"00001.tar/000010000.mp4"}
    curate(configure(folder, tmp_path / "anew", *words))
    assert read_index(str(output))["digest"] == read_index(str(tmp_path / "anew"))["digest"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["anew", "in", "out"], "nothing is written elsewhere"


def test_in_a_bucket_a_video_is_read_by_range(clips: list[bytes], bucket: str, s3: Path, tmp_path: Path) -> None:
    samples = [{"__key__": "k1", "mp4": clips[0], "txt": "One."}, {"__key__": "k2", "bin": os.urandom(24 << 20)}]
    write_tar(tmp_path / "big.tar", [*samples, {"__key__": "k3", "mp4": clips[1], "txt": "Three."}])
    storage.commit_file(str(tmp_path / "big.tar"), f"{bucket}/in/big.tar")
    before = len(s3.read_text().splitlines())
    sources = list_sources(f"{bucket}/in")
    assert paths(sources) == ["big.tar/k1.mp4", "big.tar/k3.mp4"]
    assert [content(source) for source in sources] == clips[:2]
    assert [read_sidecars(source.uri)[0] for source in sources] == ["One.", "Three."]
    requests = [line for line in s3.read_text().splitlines()[before:] if "GET /" in line and "big.tar" in line]
    assert requests and all(" 206 " in line for line in requests) and len(requests) < 20
    assert source_stamp(sources[1].uri) == sources[1].stamp
