"""Checks of a generation request before any video is made: size, blocks and images."""

from __future__ import annotations

import hashlib

from framemill.platform import storage
from framemill.platform.errors import RequestError
from framemill.training.buckets import Bucket
from framemill.training.codecs import get_codec
from framemill.training.data.clip_reader import read_image
from framemill.training.generation.config import GenerateConfig
from framemill.training.generation.model_card import ModelCard
from framemill.training.model.diffusers_format import read_transformer_config


def video_bucket(config: GenerateConfig, card: ModelCard, export: str) -> Bucket:
    """Returns frames, height and width of the videos: the config's values, or the model's default for values of 0.

    Args:
        config: config of the job.
        card: card of the model.
        export: folder of the model.

    Raises:
        RequestError: the codec or the model does not support the size, or `block_frames` does not fit the model.
    """
    default, codec = Bucket.parse(card.bucket), get_codec(card.codec, config.codec_path)
    shape = read_transformer_config(storage.join(export, "transformer"))
    bucket = Bucket(config.frames or default.frames, config.height or default.height, config.width or default.width)
    try:
        _, frames, rows, columns = codec.latent_shape(bucket.frames, bucket.height, bucket.width)
    except ValueError as error:
        raise RequestError(f"frames, height, width: {error}") from error
    for name, latents, stride, patch in (
        ("height", rows, codec.stride[1], shape.patch_size[1]),
        ("width", columns, codec.stride[2], shape.patch_size[2]),
    ):
        if latents % patch:
            raise RequestError(f"{name}={latents * stride}: must be a multiple of {stride * patch} for this model")
    if frames > shape.rope_max_seq_len:
        longest = codec.video_frames(shape.rope_max_seq_len)
        raise RequestError(f"frames={bucket.frames}: must be at most {longest} for this model")
    if config.block_frames and not card.block_frames:
        raise RequestError(
            f"block_frames={config.block_frames}: must be 0, since the model is bidirectional and makes all frames at "
            "once; a model trained in a stage with block_frames makes them in blocks"
        )
    if config.block_frames > frames:
        raise RequestError(
            f"block_frames={config.block_frames}: must be at most {frames}, the latent frames of frames={bucket.frames}"
        )
    return bucket


def image_hashes(config: GenerateConfig, bucket: Bucket, images: list[str]) -> dict[str, str]:
    """Returns the sha256 of each image, by path or URI.

    Args:
        config: config of the job.
        bucket: size of the videos.
        images: paths or URIs.

    Raises:
        RequestError: an image cannot be read, or the videos have a single frame.
    """
    if images and bucket.frames == 1:
        raise RequestError(
            f"frames=1: must be more than 1, since videos of prompts={config.prompts} begin with an image"
        )
    hashes = {}
    for image in dict.fromkeys(images):
        try:
            data = storage.read_bytes(image)
            read_image(data, bucket)
        except (FileNotFoundError, IsADirectoryError) as error:
            raise RequestError(f"prompts={config.prompts}: {image}: no such image") from error
        except ValueError as error:
            raise RequestError(f"prompts={config.prompts}: {image}: {error}") from error
        hashes[image] = hashlib.sha256(data).hexdigest()
    return hashes
