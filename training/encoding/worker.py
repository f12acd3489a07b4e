"""Encodes one shard of video as one shard of latents and text embeddings, in a Ray task."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from framemill.platform import storage
from framemill.platform.dataset import Dataset
from framemill.platform.errors import FramemillError
from framemill.platform.shard_writer import Sample, write_shard
from framemill.platform.vision.video import VideoError
from framemill.platform.writer_lock import LockToken
from framemill.training.codecs import get_codec
from framemill.training.data.captions import WeightedCaption, text_extension, weighted_captions
from framemill.training.data.clip_reader import latent_targets, read_clip
from framemill.training.data.latent_dataset import latent_extension
from framemill.training.encoding.config import EncodeConfig
from framemill.training.text import get_text_encoder
from framemill.training.text.motion import with_motion

_COPIED_MEMBERS = ("json", "txt")
"""Extensions of the members that are copied unchanged; mp4 too with `keep_video`."""


@dataclass(frozen=True)
class ShardTask:
    """One shard to encode."""

    config: EncodeConfig
    """Config of the job."""
    number: int
    """Number of the shard, in the input and in the output."""
    name: str
    """File name of the shard in the input."""
    digest8: str
    """Hash of everything that determines the output's shards, 8 hex digits."""
    token: LockToken
    """Token of the driver's lock on the output."""

    @property
    def manifest_uri(self) -> str:
        """URI of the manifest, which is written after the shard is committed."""
        return storage.join(self.config.output, "work", "encoded", f"{self.number:06d}-{self.digest8}.json")


@dataclass(frozen=True)
class SourceClip:
    """Values that encoding reads from a clip's row in `samples.parquet`."""

    key: str
    """Key of the sample."""
    width: int
    """Width in pixels."""
    height: int
    """Height in pixels."""
    duration: float
    """Length in seconds."""
    in_s: float
    """Start of the clip in its file, seconds."""
    out_s: float | None
    """End of the clip in its file, seconds; None: the end of the file."""
    captions: list[WeightedCaption]
    """The main caption, then further captions with a weight above 0."""
    motion: float | None
    """Score that is appended to the captions; None: no score."""


def encode_shard(task: ShardTask) -> None:
    """Encodes one shard of the input, commits the encoded shard, and writes the manifest.

    Raises:
        FramemillError: a clip cannot be read, or a later attempt owns the output.
    """
    source = Dataset.open(task.config.input)
    samples = [encode_clip(source, row, task.config) for row in shard_clips(source, task.name, task.config.motion)]
    task.token.check()
    folder = storage.join(task.config.output, "shards")
    shard = write_shard(folder, "train", task.number, samples, task.digest8)
    storage.write_atomic(task.manifest_uri, shard.to_json())


def shard_clips(source: Dataset, shard: str, motion: str) -> Iterator[SourceClip]:
    """Yields the rows of a shard's clips.

    Args:
        source: dataset of video.
        shard: file name of the shard.
        motion: column of the motion score; "": none.
    """
    columns = ["key", "shard", "width", "height", "duration", "in_s", "out_s", "caption", "captions", motion]
    # Datasets written before clips were copied have no in and out points: each file holds just the clip.
    table = source.samples.select([name for name in columns if name in source.samples.column_names])
    for row in table.to_pylist():
        if row["shard"] == shard:
            yield SourceClip(
                key=row["key"],
                width=row["width"],
                height=row["height"],
                duration=row["duration"],
                in_s=row.get("in_s", 0.0),
                out_s=row.get("out_s"),
                captions=weighted_captions(row.get("caption"), row.get("captions")),
                motion=row.get(motion),
            )


def encode_clip(source: Dataset, clip: SourceClip, config: EncodeConfig) -> Sample:
    """Returns the sample of a clip: latents, caption embeddings, and the members copied from the input.

    Raises:
        FramemillError: the clip cannot be read.
    """
    row = source.row_index(clip.key)
    copied = [*_COPIED_MEMBERS, "mp4"] if config.keep_video else _COPIED_MEMBERS
    members = {name: source.read(row, name) for name in copied if name in source.extensions(row)}
    text = get_text_encoder(config.text, config.text_path)
    for number, caption in enumerate(clip.captions):
        members[text_extension(number)] = to_npy(text.encode_one(with_motion(caption.text, clip.motion)))
    codec = get_codec(config.codec, config.codec_path)
    targets = latent_targets(config.curriculum, clip.width, clip.height, clip.duration)
    # The decoder needs a file name.
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        if targets:
            file.write(source.read(row, "mp4"))
            file.flush()
        for target in targets:
            try:
                video = read_clip(file.name, target, clip.width, clip.height, clip.in_s, clip.out_s)
            except (VideoError, ValueError) as error:
                raise FramemillError(f"{config.input}: clip {clip.key} cannot be read ({error})") from error
            members[latent_extension(target.bucket.name)] = to_npy(codec.encode(video))
    return Sample(clip.key, members)


def encode_null_text(config: EncodeConfig) -> list[list[float]]:
    """Returns the embedding of the empty caption, (L, D)."""
    return get_text_encoder(config.text, config.text_path).encode_null().tolist()


def to_npy(array: np.ndarray) -> bytes:
    """Returns the bytes of an array as a float16 .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array.astype(np.float16), allow_pickle=False)
    return buffer.getvalue()
