"""`framemill encode`: encodes a dataset of video as a dataset of latents and text embeddings.

Each shard of the input becomes the shard of the same number: for every clip one latent per distinct stage of the
curriculum, `<key>.<bucket>.latent.npy` (C, T', H', W'), and `<key>.text.npy` (L, D), both float16; further captions
with a weight are `text1.npy`, `text2.npy`. A manifest in `work/` is written for each finished shard; a job that was
stopped resumes with the shards that have no manifest.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from framemill.platform import storage
from framemill.platform.cluster import session, worker_count
from framemill.platform.compose import resolve
from framemill.platform.dataset import Dataset
from framemill.platform.dataset_format import committed_index
from framemill.platform.errors import RequestError
from framemill.platform.frozen_config import claim_output, digest
from framemill.platform.network_folder import files_digest
from framemill.platform.pools import finish_all, has_gpus, map_tasks, raise_pending
from framemill.platform.shard_writer import ShardInfo
from framemill.platform.writer_lock import WriterLock
from framemill.training.codecs import Codec, get_codec
from framemill.training.curriculum import CurriculumConfig, stage_buckets
from framemill.training.data.clip_reader import stage_shapes
from framemill.training.data.latent_index import LatentIndex
from framemill.training.encoding.commit import commit_latents
from framemill.training.encoding.config import EncodeConfig
from framemill.training.encoding.worker import ShardTask, encode_null_text, encode_shard
from framemill.training.text import get_text_encoder


@dataclass(frozen=True)
class EncodeResult:
    """The dataset of latents that `encode` wrote."""

    output: str
    """Folder or URI of the dataset."""
    digest: str
    """Digest of the dataset, 16 hex digits."""
    samples: int
    """Number of clips."""
    latents: int
    """Number of latents."""
    without_latent: int
    """Number of clips that are too short for every stage."""
    buckets: dict[str, int]
    """Number of latents by bucket."""

    def line(self) -> str:
        """Returns a one-line summary of the result, which the job prints."""
        return (
            f"encode: {self.samples} samples, {self.latents} latents in {len(self.buckets)} buckets, "
            f"{self.without_latent} clips too short for any stage -> {self.output}"
        )


@dataclass(frozen=True)
class _NetworkDigests:
    """Digests of the networks' weights; "" for a network without weights."""

    codec: str
    text: str


def encode(config: EncodeConfig | None = None, **keys: Any) -> EncodeResult:
    """Encodes a dataset of video as latents and text embeddings; encodes nothing if the output is complete.

    Args:
        config: the whole config, or None.
        **keys: the command's keys, e.g. `input`, `output`, `curriculum`.

    Raises:
        RequestError: there is no dataset at `input`, the dataset has no video or no score named `motion`, or the
            output contains the result of another config.
        PendingError: some shards are not encoded yet; the same command tries them again.
        FramemillError: a clip cannot be read.
    """
    config = resolve("encode", EncodeConfig, config, keys)
    source = Dataset.open(config.input)
    _check_source(config, source)
    codec, text = get_codec(config.codec, config.codec_path), get_text_encoder(config.text, config.text_path)
    _check_sizes(config.curriculum, codec)
    weights = _NetworkDigests(files_digest(codec.folders), files_digest(text.folders))
    claim_output(config, config.output)
    index = _committed_index(config, source, weights)
    return _result(config.output, index or _encode_shards(config, source, weights))


def _encode_shards(config: EncodeConfig, source: Dataset, weights: _NetworkDigests) -> dict[str, Any]:
    """Encodes the shards that have no manifest yet, commits the dataset and returns its index."""
    digest8 = _shards_digest(config, source, weights)
    with WriterLock(config.output) as lock, session(config.cluster, config.workers):
        tasks = [
            ShardTask(config, number, shard["name"], digest8, lock.token())
            for number, shard in enumerate(source.index["shards"])
        ]
        waiting = [task for task in tasks if not storage.exists(task.manifest_uri)]
        gpus = 1.0 if (weights.codec or weights.text) and has_gpus() else 0.0
        results = map_tasks(encode_shard, waiting, worker_count(config.workers), gpus, name=lambda task: task.name)
        finish_all(results, label="encode", total=len(tasks), unit="shards", done=len(tasks) - len(waiting))
        # In a worker too: the driver may have neither a GPU nor the memory for a network.
        (null_text,) = map_tasks(encode_null_text, [config], 1, gpus, name=lambda _: "the empty caption")
        raise_pending("encode", [f"{null_text.name}: {null_text.pending}"] if null_text.pending else [])
        assert null_text.value is not None
        lock.token().check()
        shards = [ShardInfo.from_json(storage.read_bytes(task.manifest_uri)) for task in tasks]
        latent_index = _latent_index(config, source, weights, null_text.value)
        return commit_latents(config, source, shards, latent_index)


def _shards_digest(config: EncodeConfig, source: Dataset, weights: _NetworkDigests) -> str:
    """Returns a hash of everything that determines the shards, 8 hex digits, which is part of the shards' names."""
    parts = f"{digest(config)} {stage_shapes(config.curriculum)} {source.digest} {weights.codec} {weights.text}"
    return hashlib.sha256(parts.strip().encode()).hexdigest()[:8]


def _latent_index(
    config: EncodeConfig, source: Dataset, weights: _NetworkDigests, null_text: list[list[float]]
) -> LatentIndex:
    """Returns the entries of the dataset's index about codec, text encoder and source."""
    codec, text = get_codec(config.codec, config.codec_path), get_text_encoder(config.text, config.text_path)
    return LatentIndex(
        codec=codec.name,
        latent_channels=codec.channels,
        latent_stride=list(codec.stride),
        text=text.name,
        text_width=text.width,
        text_max_tokens=text.max_tokens,
        null_text=null_text,
        codec_weights=weights.codec,
        text_weights=weights.text,
        source=source.digest,
        stages=stage_shapes(config.curriculum),
    )


def _result(output: str, index: dict[str, Any]) -> EncodeResult:
    totals = index["totals"]
    return EncodeResult(
        output=output,
        digest=index["digest"],
        samples=totals["samples"],
        latents=totals["latents"],
        without_latent=totals["without_latent"],
        buckets=totals["buckets"],
    )


def _check_source(config: EncodeConfig, source: Dataset) -> None:
    """Checks that the input contains video and the motion score.

    Raises:
        RequestError: the samples have no mp4, or the dataset has no score named `motion`.
    """
    if len(source) and "mp4" not in source.extensions(0):
        raise RequestError(f"input={config.input}: must hold video, but the samples have no mp4; give curate's dataset")
    if config.motion and len(source) and config.motion not in source.samples.column_names:
        raise RequestError(
            f"motion={config.motion}: must be a score of the dataset at input, or empty (motion=) for captions without"
        )


def _check_sizes(curriculum: CurriculumConfig, codec: Codec) -> None:
    """Checks that the codec can encode every stage's lengths and sizes.

    Raises:
        RequestError: the number of frames or the size of a stage does not fit the codec's stride.
    """
    for name, stage in curriculum.stages.items():
        for bucket in stage_buckets(stage):
            try:
                codec.latent_shape(bucket.frames, bucket.height, bucket.width)
            except ValueError as error:
                raise RequestError(f"curriculum.stages.{name}: {error}") from error


def _committed_index(config: EncodeConfig, source: Dataset, weights: _NetworkDigests) -> dict[str, Any] | None:
    """Returns the output's index if it is complete for this source; None if the source has to be encoded.

    Raises:
        RequestError: the output holds latents of other stages or networks.
    """
    index = committed_index(config.output)
    if index is None:
        return None
    stages = stage_shapes(config.curriculum)
    if index["stages"] != stages:
        raise RequestError(
            f"output={config.output}: holds latents for stages of [resolution, frames, fps, side] {index['stages']}, "
            f"the curriculum has {stages}; choose another output"
        )
    for key, path, committed, current in (
        ("codec_path", config.codec_path, index.get("codec_weights", ""), weights.codec),
        ("text_path", config.text_path, index.get("text_weights", ""), weights.text),
    ):
        if committed != current:
            raise RequestError(
                f"{key}={path}: output={config.output} holds the result of another network; choose another output"
            )
    return index if index["source"] == source.digest else None
