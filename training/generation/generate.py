"""`framemill generate`: a model and a file of prompts in, one mp4 a prompt and sample out.

A video's noise follows from the seed, the prompt's place in the file and the sample's number alone, so neither the
number of workers nor a stop in between can change it. A bidirectional model makes all frames at once, a block-causal
one block by block, each decoded and written before the next is begun.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from framemill.platform import storage
from framemill.platform.cluster import session, worker_count
from framemill.platform.compose import resolve
from framemill.platform.errors import RequestError
from framemill.platform.frozen_config import claim_output
from framemill.platform.pools import finish_all, has_gpus, map_tasks
from framemill.platform.vision.video import encode_mp4
from framemill.platform.writer_lock import LockToken, WriterLock
from framemill.training.buckets import Bucket
from framemill.training.codecs import get_codec
from framemill.training.curriculum import block_starts
from framemill.training.data.clip_reader import read_picture
from framemill.training.generation.config import GenerateConfig
from framemill.training.generation.model_card import ModelCard, check_networks, find_export, network_path, read_card
from framemill.training.generation.prompts import Video, plan, read_prompts
from framemill.training.generation.sampling import Scheduler, load_scheduler, sample, stream
from framemill.training.model import LinearDiT
from framemill.training.model.diffusers_format import read_transformer_config
from framemill.training.run.export import INFO
from framemill.training.text import get_text_encoder
from framemill.training.text.base import pad
from framemill.training.text.motion import with_motion

LISTING = "videos.jsonl"


@dataclass(frozen=True)
class VideoJob:
    config: GenerateConfig
    export: str
    bucket: Bucket
    video: Video
    token: LockToken


@dataclass(frozen=True)
class GenerateResult:
    output: str
    videos: int
    bucket: str
    fps: float

    def line(self) -> str:
        return f"generate: {self.videos} videos of {self.bucket} at {self.fps:g} fps -> {self.output}"


def generate(config: GenerateConfig | None = None, **keys: Any) -> GenerateResult:
    """Generates the videos of the prompts that do not exist yet, and lists all of them in `videos.jsonl`.

    Args:
        config: the whole config; or None, with its keys as keyword arguments.

    Raises:
        RequestError: no model, no prompts, a picture that cannot be read, a size or blocks that the model cannot make,
            or an output that holds other videos.
    """
    config = resolve("generate", GenerateConfig, config, keys)
    export = find_export(config.model)
    config = dataclasses.replace(
        config,
        codec_path=network_path(config.codec_path, export, "vae"),
        text_path=network_path(config.text_path, export, "text_encoder"),
    )
    card = read_card(export, config.codec_path)
    networks = check_networks(card, config.codec_path, config.text_path)
    bucket = size_of(config, card, export)
    prompts = read_prompts(config.prompts)
    pictures = check_pictures(config, bucket, [prompt.image for prompt in prompts if prompt.image])
    videos = plan(prompts, config.samples_per_prompt, config.seed)
    claim_output(config, config.output)
    with WriterLock(config.output) as lock:
        claim_inputs(config, export, networks, videos, pictures)
        jobs = [VideoJob(config, export, bucket, video, lock.token()) for video in videos]
        left = [job for job in jobs if not storage.exists(storage.join(config.output, job.video.name))]
        if left:
            make_videos(config, left, done=len(jobs) - len(left))
        listing = "".join(json.dumps(listed(video)) + "\n" for video in videos)
        storage.write_atomic(storage.join(config.output, LISTING), listing.encode())
    return GenerateResult(config.output, len(videos), bucket.name, card.fps)


def make_videos(config: GenerateConfig, jobs: list[VideoJob], done: int) -> None:
    """Makes videos on Ray, each on one CPU, or on one GPU where the cluster has any."""
    with session(config.cluster, config.workers):
        gpus = 1.0 if has_gpus() else 0.0
        results = map_tasks(make_video, jobs, worker_count(config.workers), gpus, name=lambda job: job.video.name)
        finish_all(results, label="generate", total=done + len(jobs), unit="videos", done=done)


def listed(video: Video) -> dict[str, str | int]:
    """A video's line in the listing."""
    image = {"image": video.prompt.image} if video.prompt.image else {}
    return {"video": video.name, "prompt": video.prompt.text, "index": video.index, "seed": video.seed, **image}


# ---------------------------------------------------------------------------------------------------- checking


def size_of(config: GenerateConfig, card: ModelCard, export: str) -> Bucket:
    """The size asked for, the model's own where nothing was.

    Raises:
        RequestError: codec or model cannot make it, or not in the blocks asked for.
    """
    own, codec = Bucket.parse(card.bucket), get_codec(card.codec, config.codec_path)
    shape = read_transformer_config(storage.join(export, "transformer"))
    bucket = Bucket(config.frames or own.frames, config.height or own.height, config.width or own.width)
    try:
        _, frames, rows, columns = codec.latent_shape(bucket.frames, bucket.height, bucket.width)
    except ValueError as error:
        raise RequestError(f"frames, height, width: {error}") from error
    for name, latents, stride, patch in (
        ("height", rows, codec.stride[1], shape.patch_size[1]),
        ("width", columns, codec.stride[2], shape.patch_size[2]),
    ):
        if latents % patch:
            raise RequestError(f"{name}={latents * stride}: is a multiple of {stride * patch} with this model")
    if frames > shape.rope_max_seq_len:
        longest = codec.frames(shape.rope_max_seq_len)
        raise RequestError(f"frames={bucket.frames}: the model counts {longest} at most")
    if config.block_frames and not card.block_frames:
        raise RequestError(
            f"block_frames={config.block_frames}: the model is bidirectional and makes all frames at once; train it on "
            "with a stage that has block_frames, or leave the key out"
        )
    if config.block_frames > frames:
        raise RequestError(
            f"block_frames={config.block_frames}: is at most {frames}, the latent frames of frames={bucket.frames}"
        )
    return bucket


def check_pictures(config: GenerateConfig, bucket: Bucket, images: list[str]) -> dict[str, str]:
    """The pictures' hashes, by path or URI.

    Raises:
        RequestError: one of them cannot be read, or leaves nothing to be made.
    """
    if images and bucket.frames == 1:
        raise RequestError(f"prompts={config.prompts}: begins from a picture, and with frames=1 nothing follows it")
    hashes = {}
    for image in dict.fromkeys(images):
        try:
            data = storage.read_bytes(image)
            read_picture(data, bucket)
        except (FileNotFoundError, IsADirectoryError) as error:
            raise RequestError(f"prompts={config.prompts}: {image}: no such picture") from error
        except ValueError as error:
            raise RequestError(f"prompts={config.prompts}: {image}: {error}") from error
        hashes[image] = hashlib.sha256(data).hexdigest()
    return hashes


def claim_inputs(
    config: GenerateConfig, export: str, networks: dict[str, str], videos: list[Video], pictures: dict[str, str]
) -> None:
    """Binds the output to this model, networks, prompts and pictures: finished videos must not be taken for others'.

    Raises:
        RequestError: the output holds videos of others.
    """
    weights = storage.join(export, "transformer")
    model = networks | {name: storage.sha256_file(storage.join(weights, name)) for name in storage.list_dir(weights)}
    names = [
        [video.name, video.prompt.text, *([pictures[video.prompt.image]] if video.prompt.image else [])]
        for video in videos
    ]
    inputs = {"model": model, "videos": names}
    target = storage.join(config.output, "work", "inputs.json")
    if storage.exists(target):
        theirs = json.loads(storage.read_bytes(target))
        for key, what in (("model", f"model={config.model}"), ("videos", f"prompts={config.prompts}")):
            if theirs[key] != inputs[key]:
                raise RequestError(f"{what}: output={config.output} holds videos of another; choose another output")
    storage.write_atomic(target, json.dumps(inputs, sort_keys=True).encode())


# ---------------------------------------------------------------------------------------------------- in a worker


def make_video(job: VideoJob) -> str:
    """Makes one video and puts it in its place. Returns its name."""
    card = read_card(job.export, job.config.codec_path)
    frames = (frame for part in draw(job.config, job.export, card, job.bucket, job.video) for frame in part)
    data = encode_mp4(frames, card.fps)
    job.token.check()
    storage.write_atomic(storage.join(job.config.output, job.video.name), data)
    return job.video.name


def draw(config: GenerateConfig, export: str, card: ModelCard, bucket: Bucket, video: Video) -> Iterator[np.ndarray]:
    """The frames of one video in parts, uint8 (T, H, W, 3): all of them, or those of one block after the other."""
    model = load_model(export)
    codec, encoder = get_codec(card.codec, config.codec_path), get_text_encoder(card.text, config.text_path)
    caption = with_motion(video.prompt.text, config.motion_score if config.motion_score >= 0 else None)
    shape = (1, *codec.latent_shape(bucket.frames, bucket.height, bucket.width))
    first = None
    if video.prompt.image:
        picture = read_picture(storage.read_bytes(video.prompt.image), bucket)
        first = torch.from_numpy(codec.encode(picture))[None]
    text, mask = (torch.from_numpy(part) for part in pad([encoder.encode_one(caption)]))
    null_text, null_mask = (torch.from_numpy(part) for part in pad([encoder.encode_null(config.negative_prompt)]))
    if model.config.null_caption_tokens and not config.negative_prompt:
        null_text = model.null_caption.embedding.detach()[None]
        null_mask = torch.ones(null_text.shape[:2])
    inputs: dict[str, Any] = {
        "text": text,
        "mask": mask,
        "null_text": null_text,
        "null_mask": null_mask,
        "shape": shape,
        "steps": config.steps,
        "cfg": config.cfg,
        "scheduler": scheduler_of(export),
        "generator": torch.Generator().manual_seed(video.seed),
        "first": first,
    }
    if length := config.block_frames or card.block_frames:
        blocks = stream(model, blocks=block_starts(shape[2], length), **inputs)
    else:
        blocks = iter([sample(model, **inputs)])
    yield from codec.decode_blocks(block[0].cpu().numpy() for block in blocks)


def scheduler_of(export: str) -> Scheduler | None:
    """The model's own; None, which is SANA-Video's, for weights without one that no export of ours has lost."""
    folder = storage.join(export, "scheduler")
    bare = not storage.exists(storage.join(export, INFO)) and not storage.exists(folder)
    return None if bare else load_scheduler(folder)


@functools.lru_cache(maxsize=1)
def load_model(export: str) -> LinearDiT:
    """The model of an export folder, once a process: in float32, or as stored on the GPU that Ray gave the task."""
    torch.set_num_threads(1)
    model = LinearDiT.from_diffusers(storage.join(export, "transformer"))
    return model.to("cuda") if torch.cuda.is_available() else model.float()
