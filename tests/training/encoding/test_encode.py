"""Encoding: what a clip gets, the same bytes however it was made, and going on after a stop."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import webdataset

from framemill.platform import storage
from framemill.platform.audit import audit
from framemill.platform.dataset import Dataset
from framemill.platform.dataset_commit import commit_dataset
from framemill.platform.errors import FramemillError, PendingError, RequestError
from framemill.platform.shard_writer import Sample, write_shard
from framemill.platform.vision.video import encode_mp4
from framemill.training.buckets import Bucket
from framemill.training.codecs import get_codec
from framemill.training.curriculum import CurriculumConfig, StageConfig
from framemill.training.data.captions import WeightedCaption
from framemill.training.data.clip_reader import LatentTarget, covering_size, latent_targets, read_clip
from framemill.training.encoding.config import EncodeConfig
from framemill.training.encoding.encode import encode
from framemill.training.encoding.worker import SourceClip, encode_clip, to_npy
from framemill.training.text import get_text_encoder

SIZES = {"wide": (48, 96), "square": (64, 64), "tall": (96, 48), "short": (48, 96), "fast": (48, 96)}
FRAMES = {"short": 4, "fast": 60}
FPS = {"fast": 32.0}
SHARDS = (["wide", "square"], ["tall", "short"], ["fast"])


def moving(name: str) -> np.ndarray:
    """A ramp that brightens with time, (T, H, W, 3) uint8."""
    height, width = SIZES[name]
    ramp = np.linspace(30, 180, width)[None, None, :, None] * np.ones((FRAMES.get(name, 30), height, 1, 3))
    return (ramp + np.arange(len(ramp))[:, None, None, None]).astype(np.uint8)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Five clips in three shards, as curation writes them."""
    folder = str(tmp_path_factory.mktemp("dataset"))
    rows, shards = [], []
    for number, names in enumerate(SHARDS):
        samples = []
        for name in names:
            (height, width), fps = SIZES[name], FPS.get(name, 16.0)
            video = moving(name)
            members = {"mp4": encode_mp4(video, fps), "json": b"{}", "txt": f"a {name} ramp".encode()}
            samples.append(Sample(name, members))
            rows.append(
                {
                    "key": name,
                    "bucket": "",
                    "width": width,
                    "height": height,
                    "frames": len(video),
                    "fps": fps,
                    "duration": len(video) / fps,
                    "caption": f"a {name} ramp",
                    "motion": 3.7,
                }
            )
        shards.append(write_shard(storage.join(folder, "shards"), "train", number, samples, "0" * 8))
    sources = pa.table({"path": ["reel.mp4"], "state": ["ok"], "clips": [len(rows)]})
    clips = pa.table({"key": list(SIZES), "state": ["kept"] * len(rows)})
    commit_dataset(
        folder,
        kind="curate",
        config_digest="0" * 16,
        shards=shards,
        samples=pa.Table.from_pylist(rows),
        ledger={"sources": sources, "clips": clips},
        totals={"kept": len(rows)},
    )
    return folder


def stage(resolution: int, frames: int, fps: float = 16.0) -> StageConfig:
    return StageConfig(resolution=resolution, frames=frames, fps=fps, steps=1, batch_size=1)


def curriculum() -> CurriculumConfig:
    return CurriculumConfig({"low": stage(32, 9), "high": stage(48, 17)})


def settings(dataset: str, output: Path, **changes: object) -> EncodeConfig:
    return EncodeConfig(input=dataset, output=str(output), curriculum=curriculum(), **changes)


@pytest.fixture(scope="module")
def encoded(dataset: str, ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("encoded") / "latents"
    encode(settings(dataset, output, workers=1))
    return output


def contents(folder: Path) -> dict[str, bytes]:
    names = ["index.json", "samples.parquet", *(f"shards/{path.name}" for path in (folder / "shards").iterdir())]
    return {name: (folder / name).read_bytes() for name in names}


def load(data: bytes) -> np.ndarray:
    return np.load(io.BytesIO(data))


def test_every_clip_has_text_and_a_latent_of_each_stage_it_is_long_enough_for(encoded: Path) -> None:
    assert audit(str(encoded)).problems == []
    latents = Dataset.open(str(encoded))
    totals = latents.index["totals"]
    assert (totals["samples"], totals["latents"], totals["without_latent"]) == (5, 8, 1)
    assert sum(totals["buckets"].values()) == 8 and len(totals["buckets"]) == 6
    codec = get_codec("dct")
    for row, (key, buckets) in enumerate(
        zip(*(latents.samples[c].to_pylist() for c in ("key", "buckets")), strict=True)
    ):
        assert len(buckets) == (0 if key == "short" else 2)
        text = load(latents.read(row, "text.npy"))
        assert np.array_equal(text, get_text_encoder("hashed").encode_one(f"a {key} ramp motion score: 3."))
        for name in buckets:
            bucket = Bucket.parse(name)
            latent = load(latents.read(row, f"{name}.latent.npy"))
            assert latent.dtype == np.float16
            assert latent.shape == codec.latent_shape(bucket.frames, bucket.height, bucket.width)
    assert "mp4" not in latents.extensions(0) and {"json", "txt"} <= set(latents.extensions(0))


def test_latents_show_the_clip(dataset: str, encoded: Path) -> None:
    latents = Dataset.open(str(encoded))
    row = latents.row_index("wide")
    name = next(name for name in latents.samples["buckets"].to_pylist()[row] if name.startswith("17x"))
    shown = get_codec("dct").decode(load(latents.read(row, f"{name}.latent.npy")).astype(np.float32))
    wanted = moving("wide")[:17].astype(float).mean((1, 2, 3))
    assert np.abs(shown.mean((1, 2, 3)) - wanted).max() < 3


def test_index_says_what_training_needs(dataset: str, encoded: Path) -> None:
    index = Dataset.open(str(encoded)).index
    assert (index["codec"], index["text"], index["text_width"], index["text_max_tokens"]) == ("dct", "hashed", 64, 300)
    assert np.asarray(index["null_text"]).shape == (1, 64)
    assert index["source"] == Dataset.open(dataset).digest


def test_opens_in_plain_webdataset(encoded: Path) -> None:
    urls = sorted(str(path) for path in (encoded / "shards").iterdir())
    samples = list(webdataset.WebDataset(urls, shardshuffle=False))
    assert [sample["__key__"] for sample in samples] == list(SIZES)
    assert all(load(sample["text.npy"]).shape[1] == 64 for sample in samples)


def test_same_bytes_for_any_number_of_workers(dataset: str, encoded: Path, tmp_path: Path) -> None:
    encode(settings(dataset, tmp_path / "two", workers=2))
    assert contents(tmp_path / "two") == contents(encoded)


def test_a_shard_that_cannot_be_written_is_pending_and_the_rest_is_done(
    dataset: str, encoded: Path, ray_session: None, tmp_path: Path
) -> None:
    output, shards = tmp_path / "out", sorted(path.name for path in (encoded / "shards").iterdir())
    # A folder in the shard's place, as a storage that refuses to write there.
    (output / "shards" / shards[1] / "full").mkdir(parents=True)
    shutil.copy(encoded / "config.yaml", output)
    with pytest.raises(PendingError, match=r"^encode: train-000001-.*; the same command tries again"):
        encode(settings(dataset, output))
    assert not (output / "index.json").exists()
    manifests = sorted((output / "work" / "encoded").iterdir())
    assert [path.name[:6] for path in manifests] == ["000000", "000002"]
    before = [path.stat().st_mtime_ns for path in manifests]
    shutil.rmtree(output / "shards" / shards[1])
    result = encode(settings(dataset, output))
    assert [path.stat().st_mtime_ns for path in manifests] == before, "finished shards are not encoded again"
    assert contents(output) == contents(encoded)
    assert encode(settings(dataset, output)) == result
    assert (result.samples, result.latents, result.without_latent) == (5, 8, 1)
    assert result.line().startswith("encode: 5 samples, 8 latents")


def damaged(dataset: str, folder: Path, **values: object) -> str:
    """A copy of the dataset in which the row of the clip `tall` has other values."""
    source = Dataset.open(dataset)
    rows = [{"in_s": 0.0, **row, **(values if row["key"] == "tall" else {})} for row in source.samples.to_pylist()]
    samples = [[source.sample(source.row_index(key)) for key in keys] for keys in SHARDS]
    commit_dataset(
        str(folder),
        kind="curate",
        config_digest="0" * 16,
        shards=[write_shard(str(folder / "shards"), "train", n, part, "0" * 8) for n, part in enumerate(samples)],
        samples=pa.Table.from_pylist([{k: v for k, v in row.items() if k not in ("shard", "members")} for row in rows]),
        ledger={name: source.ledger(name) for name in ("sources", "clips")},
        totals={"kept": len(rows)},
    )
    return str(folder)


def test_an_unexpected_error_leaves_its_shard_pending(dataset: str, ray_session: None, tmp_path: Path) -> None:
    """A row without a width makes the code fail where nobody expects it: a TypeError, not a message of ours."""
    source = damaged(dataset, tmp_path / "damaged", width=None)
    with pytest.raises(PendingError, match=r"^encode: train-000001-0{8}\.tar: TypeError: "):
        encode(settings(source, tmp_path / "out"))
    manifests = sorted(path.name[:6] for path in (tmp_path / "out" / "work" / "encoded").iterdir())
    assert manifests == ["000000", "000002"], "it costs no other shard"


def test_a_clip_that_cannot_be_read_ends_the_job(dataset: str, ray_session: None, tmp_path: Path) -> None:
    source = damaged(dataset, tmp_path / "damaged", in_s=100.0)
    with pytest.raises(FramemillError, match="clip tall cannot be read") as error:
        encode(settings(source, tmp_path / "out"))
    assert not isinstance(error.value, PendingError)


def test_keys_are_validated_as_the_commands_are(dataset: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="codec=mp3: must be one of dct"):
        encode(input=dataset, output=str(tmp_path / "out"), codec="mp3")
    with pytest.raises(RequestError, match="codec=mp3: must be one of dct"):
        encode(settings(dataset, tmp_path / "out", codec="mp3"))
    with pytest.raises(RequestError, match=r"curriculum\.stages: must have at least one stage"):
        encode(EncodeConfig(dataset, str(tmp_path / "out")))


def test_keeps_video_where_asked(dataset: str, ray_session: None, tmp_path: Path) -> None:
    encode(settings(dataset, tmp_path / "both", keep_video=True))
    source, both = Dataset.open(dataset), Dataset.open(str(tmp_path / "both"))
    assert both.read(0, "mp4") == source.read(0, "mp4")


def test_how_a_stage_trains_changes_no_latent(dataset: str, encoded: Path) -> None:
    config = settings(dataset, encoded)
    config.curriculum.stages["low"].lr, config.curriculum.stages["low"].steps = 1.0, 7
    before = contents(encoded)
    encode(config)
    assert contents(encoded) == before


def test_wrong_requests(dataset: str, encoded: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no dataset here"):
        encode(settings(str(tmp_path / "nothing"), tmp_path / "out"))
    with pytest.raises(RequestError, match="have no mp4"):
        encode(settings(str(encoded), tmp_path / "out"))
    with pytest.raises(RequestError, match="keep_video was False, is True"):
        encode(settings(dataset, encoded, keep_video=True))
    with pytest.raises(
        RequestError, match=r"\[\[32, 9, 16\.0, 16\], \[48, 17, 16\.0, 16\]\], the curriculum has \[\[32"
    ):
        encode(EncodeConfig(dataset, str(encoded), CurriculumConfig({"only": stage(32, 9)})))
    with pytest.raises(RequestError, match="one frame rate"):
        EncodeConfig("in", "out", CurriculumConfig({"a": stage(32, 9), "b": stage(32, 9, fps=8.0)})).validate()


def test_targets() -> None:
    wanted = latent_targets(curriculum(), width=1920, height=1080, duration=17 / 16)
    assert [(target.bucket.frames, target.fps) for target in wanted] == [(9, 16.0), (17, 16.0)]
    assert len(latent_targets(curriculum(), 1920, 1080, 1.0)) == 1
    twice = CurriculumConfig({"a": stage(32, 9), "b": stage(32, 9)})
    assert len(latent_targets(twice, 100, 100, 5.0)) == 1


def test_reading_covers_and_keeps_time(dataset: str, tmp_path: Path) -> None:
    assert covering_size(Bucket(9, 32, 64), 1920, 1080) == (64, 36)
    assert covering_size(Bucket(9, 64, 32), 1920, 1080) == (114, 64)
    source = Dataset.open(dataset)
    path = tmp_path / "fast.mp4"
    path.write_bytes(source.read(source.row_index("fast"), "mp4"))
    video = read_clip(str(path), LatentTarget(Bucket(17, 48, 96), 16.0), 96, 48)
    assert video.shape == (17, 48, 96, 3)
    wanted = moving("fast")[: 2 * 17 : 2].astype(float).mean((1, 2, 3))
    assert np.abs(video.mean((1, 2, 3)) - wanted).max() < 3


def test_a_clip_is_what_lies_between_its_points(dataset: str, tmp_path: Path) -> None:
    """As in a clip whose packets were copied: the file begins before it and ends after it."""
    source = Dataset.open(dataset)
    mp4 = source.read(source.row_index("wide"), "mp4")
    path = tmp_path / "wide.mp4"
    path.write_bytes(mp4)
    target = LatentTarget(Bucket(9, 48, 96), 16.0)
    clip = read_clip(str(path), target, 96, 48, 5 / 16, 14 / 16)
    assert np.array_equal(clip, read_clip(str(path), LatentTarget(Bucket(30, 48, 96), 16.0), 96, 48)[5:14])
    row = SourceClip(
        key="wide",
        width=96,
        height=48,
        duration=9 / 16,
        in_s=5 / 16,
        out_s=14 / 16,
        captions=[WeightedCaption("", 1.0)],
        motion=None,
    )
    members = encode_clip(source, row, settings(dataset, tmp_path)).members
    latents = {name: data for name, data in members.items() if name.endswith("latent.npy")}
    assert len(latents) == 1, "9 frames are too few for the second stage"
    assert b"".join(latents.values()) == to_npy(
        get_codec("dct").encode(
            read_clip(str(path), latent_targets(curriculum(), 96, 48, 9 / 16)[0], 96, 48, 5 / 16, 14 / 16)
        )
    )


def test_json_manifest_names_the_shard(encoded: Path) -> None:
    manifests = sorted((encoded / "work" / "encoded").iterdir())
    names = [json.loads(path.read_text())["name"] for path in manifests]
    assert names == sorted(path.name for path in (encoded / "shards").iterdir())
