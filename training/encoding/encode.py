"""`framemill encode`: a dataset of video in, a dataset of latents and text embeddings out.

Each shard of the input becomes the shard of the same number: for every clip one latent a stage of the curriculum,
`<key>.<bucket>.latent.npy` (C, T', H', W'), and `<key>.text.npy` (L, D), both float16; further captions that have a
weight are `text1.npy`, `text2.npy`. A finished shard leaves a manifest in `work/`, so a run that was stopped goes on
with the shards that have none.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from framemill.platform import storage
from framemill.platform.cluster import session, worker_count
from framemill.platform.compose import resolve
from framemill.platform.dataset import Dataset, read_ledger
from framemill.platform.dataset_commit import commit_dataset
from framemill.platform.dataset_format import read_index
from framemill.platform.errors import FramemillError, RequestError
from framemill.platform.frozen_config import claim_output, digest
from framemill.platform.network_folder import files_digest
from framemill.platform.pools import finish_all, has_gpus, map_tasks, raise_pending
from framemill.platform.shard_writer import Sample, ShardInfo, write_shard
from framemill.platform.vision.video import VideoError
from framemill.platform.writer_lock import LockToken, WriterLock
from framemill.training.codecs import Codec, get_codec
from framemill.training.curriculum import CurriculumConfig, stage_buckets
from framemill.training.data.captions import text_member, texts_of
from framemill.training.data.clip_reader import asked, read_clip, targets
from framemill.training.encoding.config import EncodeConfig
from framemill.training.text import get_text_encoder
from framemill.training.text.motion import with_motion

CARRIED = ("json", "txt")
LEDGERS = ("sources", "clips")


@dataclass(frozen=True)
class EncodeResult:
    output: str
    digest: str
    totals: dict[str, Any]

    def line(self) -> str:
        counts = self.totals
        return (
            f"encode: {counts['samples']} samples, {counts['latents']} latents in {len(counts['buckets'])} buckets, "
            f"{counts['without_latent']} clips too short for any stage -> {self.output}"
        )


@dataclass(frozen=True)
class ShardJob:
    """One shard to encode: shard number `number` of `config.input`."""

    config: EncodeConfig
    number: int
    name: str
    digest8: str
    token: LockToken


def encode(config: EncodeConfig | None = None, **keys: Any) -> EncodeResult:
    """Encodes a dataset of video as latents and text embeddings; does nothing where the output is complete.

    Args:
        config: the whole config; or None, with its keys as keyword arguments.

    Raises:
        RequestError: no dataset at `input`, one without video or the score, or an output with another config's result.
        FramemillError: a clip cannot be read.
    """
    config = resolve("encode", EncodeConfig, config, keys)
    source = Dataset.open(config.input)
    if len(source) and "mp4" not in source.extensions(0):
        raise RequestError(f"input={config.input}: its samples hold no mp4; give the dataset that curate made")
    if config.motion and len(source) and config.motion not in source.samples.column_names:
        raise RequestError(
            f"motion={config.motion}: the dataset at input has no such score; motion= tells the model none"
        )
    codec, text = get_codec(config.codec, config.codec_path), get_text_encoder(config.text, config.text_path)
    check_sizes(config.curriculum, codec)
    networks = {"codec_weights": files_digest(codec.folders), "text_weights": files_digest(text.folders)}
    claim_output(config, config.output)
    stages = asked(config.curriculum)
    if (done := finished(config, source, stages, networks)) is not None:
        return done
    named = f"{digest(config)} {stages} {source.digest} {' '.join(networks.values())}"
    identity = hashlib.sha256(named.strip().encode()).hexdigest()[:8]
    with WriterLock(config.output) as lock, session(config.cluster, config.workers):
        jobs = [
            ShardJob(config, number, shard["name"], identity, lock.token())
            for number, shard in enumerate(source.index["shards"])
        ]
        left = [job for job in jobs if not storage.exists(manifest_uri(job))]
        gpus = 1.0 if any(networks.values()) and has_gpus() else 0.0
        results = map_tasks(encode_shard, left, worker_count(config.workers), gpus, name=lambda job: job.name)
        finish_all(results, label="encode", total=len(jobs), unit="shards", done=len(jobs) - len(left))
        # By a worker too: the driver may have neither a GPU nor the memory for a network.
        (null_text,) = map_tasks(encode_null, [config], 1, gpus, name=lambda _: "the empty caption")
        raise_pending("encode", [null_text.pending] if null_text.pending else [])
        lock.token().check()
        shards = [ShardInfo.from_json(storage.read_bytes(manifest_uri(job))) for job in jobs]
        return commit(config, source, shards, {**networks, "null_text": null_text.value})


def finished(
    config: EncodeConfig, source: Dataset, stages: list[list[float]], networks: dict[str, str]
) -> EncodeResult | None:
    """What the output holds, where that is the result already.

    Raises:
        RequestError: it holds latents of other sizes or networks.
    """
    if not storage.exists(storage.join(config.output, "index.json")):
        return None
    index = read_index(config.output)
    if index["stages"] != stages:
        raise RequestError(
            f"output={config.output}: holds latents for stages of [resolution, frames, fps, side] {index['stages']}, "
            f"the curriculum has {stages}; choose another output"
        )
    for name, path in (("codec_weights", config.codec_path), ("text_weights", config.text_path)):
        if index.get(name, "") != networks[name]:
            key = name.replace("weights", "path")
            raise RequestError(f"{key}={path}: output={config.output} holds another network's; choose another output")
    return EncodeResult(config.output, index["digest"], index["totals"]) if index["source"] == source.digest else None


def check_sizes(curriculum: CurriculumConfig, codec: Codec) -> None:
    """Raises RequestError where a stage's sizes or lengths are not what the codec takes."""
    for name, stage in curriculum.stages.items():
        for bucket in stage_buckets(stage):
            try:
                codec.latent_shape(bucket.frames, bucket.height, bucket.width)
            except ValueError as error:
                raise RequestError(f"curriculum.stages.{name}: {error}") from error


def manifest_uri(job: ShardJob) -> str:
    return storage.join(job.config.output, "work", "encoded", f"{job.number:06d}-{job.digest8}.json")


# ---------------------------------------------------------------------------------------------------- in a worker


def encode_shard(job: ShardJob) -> None:
    """Encodes one shard of the input and, once it is in its place, writes its manifest."""
    source = Dataset.open(job.config.input)
    rows = [row for row in source.samples.select(columns(source, job.config)).to_pylist() if row["shard"] == job.name]
    samples = [encode_sample(source, row, job.config) for row in rows]
    job.token.check()
    folder = storage.join(job.config.output, "shards")
    shard = write_shard(folder, "train", job.number, samples, job.digest8)
    storage.write_atomic(manifest_uri(job), shard.to_json())


def columns(source: Dataset, config: EncodeConfig) -> list[str]:
    """The columns of `samples.parquet` that encoding reads."""
    wanted = ("key", "shard", "width", "height", "duration", "in_s", "out_s", "caption", "captions", config.motion)
    return [name for name in wanted if name in source.samples.column_names]


def encode_sample(source: Dataset, row: dict[str, Any], config: EncodeConfig) -> Sample:
    """A clip's latents, its captions' embeddings, and what is carried over."""
    number = source.row_index(row["key"])
    carried = [*CARRIED, "mp4"] if config.keep_video else CARRIED
    members = {name: source.read(number, name) for name in carried if name in source.extensions(number)}
    text = get_text_encoder(config.text, config.text_path)
    for place, (caption, _) in enumerate(texts_of(row)):
        members[text_member(place)] = npy(text.encode_one(with_motion(caption, row.get(config.motion))))
    codec = get_codec(config.codec, config.codec_path)
    wanted = targets(config.curriculum, row["width"], row["height"], row["duration"])
    # A dataset from before clips were copied has no in and out points: each file is just the clip.
    cut = (row.get("in_s", 0.0), row.get("out_s"))
    # The decoder wants a name on disk.
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        if wanted:
            file.write(source.read(number, "mp4"))
            file.flush()
        for target in wanted:
            try:
                video = read_clip(file.name, target, row["width"], row["height"], *cut)
            except (VideoError, ValueError) as error:
                raise FramemillError(f"{config.input}: clip {row['key']} cannot be read ({error})") from error
            members[f"{target.bucket.name}.latent.npy"] = npy(codec.encode(video))
    return Sample(row["key"], members)


def encode_null(config: EncodeConfig) -> list[list[float]]:
    """The empty caption's embedding, (L, D)."""
    return get_text_encoder(config.text, config.text_path).encode_null().tolist()


def npy(array: np.ndarray) -> bytes:
    """The array as a float16 .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array.astype(np.float16), allow_pickle=False)
    return buffer.getvalue()


# ---------------------------------------------------------------------------------------------------- committing


def commit(config: EncodeConfig, source: Dataset, shards: list[ShardInfo], networks: dict[str, Any]) -> EncodeResult:
    """Makes the encoded shards a dataset, with the input's rows and ledger, and what `networks` says of itself."""
    names = {key: latent_buckets(members) for shard in shards for key, members in shard.members.items()}
    buckets = [names[key] for key in source.samples["key"].to_pylist()]
    table = source.samples.drop_columns(
        [name for name in ("shard", "members", "bucket", "buckets") if name in source.samples.column_names]
    )
    table = table.append_column("bucket", pa.array([found[0] if found else "" for found in buckets], pa.string()))
    table = table.append_column("buckets", pa.array(buckets, pa.list_(pa.string())))
    counts = Counter(name for found in buckets for name in found)
    text = get_text_encoder(config.text, config.text_path)
    codec = get_codec(config.codec, config.codec_path)
    index = commit_dataset(
        config.output,
        kind="encode",
        config_digest=digest(config),
        shards=shards,
        samples=table,
        # The ledger is copied as it is, so the version is that of the input.
        ledger={name: read_ledger(config.input, name) for name in LEDGERS},
        format_version=source.index["format_version"],
        totals={
            "samples": len(source),
            "latents": counts.total(),
            "without_latent": buckets.count([]),
            "buckets": dict(sorted(counts.items())),
        },
        extra={
            "source": source.digest,
            "stages": asked(config.curriculum),
            "codec": codec.name,
            "latent_channels": codec.channels,
            "latent_stride": list(codec.stride),
            "text": text.name,
            "text_width": text.width,
            "text_max_tokens": text.max_tokens,
            **networks,
        },
    )
    return EncodeResult(config.output, index["digest"], index["totals"])


def latent_buckets(members: list[tuple[str, int, int]]) -> list[str]:
    """The buckets that a sample has latents of, in the order of its members."""
    return [name.removesuffix(".latent.npy") for name, _, _ in members if name.endswith(".latent.npy")]
