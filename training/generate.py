"""`framemill generate`: an exported model and a file of prompts in, one mp4 a prompt and sample out.

A video's noise follows from the seed, the prompt's place in the file and the sample's number alone, so neither the
number of workers nor a stop in between can change it. Files are named as VBench names them, `<prompt>-<sample>.mp4`.
"""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass

import numpy as np
import torch

from framemill.platform import storage
from framemill.platform.cluster import session, worker_count
from framemill.platform.errors import RequestError
from framemill.platform.frozen import claim_output
from framemill.platform.progress import progress
from framemill.platform.storage import LockToken, WriterLock
from framemill.platform.vision.video import encode_mp4
from framemill.training.buckets import Bucket
from framemill.training.codecs import get_codec
from framemill.training.job_configs import GenerateConfig
from framemill.training.model import LinearDiT
from framemill.training.model_card import ModelCard, check_networks, find_export, read_card
from framemill.training.parallel import has_gpus, in_parallel
from framemill.training.sampling import load_scheduler, sample
from framemill.training.text import get_text_encoder
from framemill.training.text.base import pad
from framemill.training.text.motion import with_motion

LISTING = "videos.jsonl"
LONGEST_NAME = 240  # bytes of a prompt that names its video: VBench has one of 210, file systems end at 255
IMAGE = "<image>"


@dataclass(frozen=True)
class Video:
    """One video to make. `name` is its file's; `seed` its noise's."""

    name: str
    prompt: str
    index: int
    seed: int


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


def generate(config: GenerateConfig) -> GenerateResult:
    """Makes what is not there yet of the prompts' videos, and lists all of them in `videos.jsonl`.

    Raises:
        RequestError: no model, no prompts, a size the model cannot make, or an output that holds other videos.
    """
    export = find_export(config.model)
    card = read_card(export)
    check_networks(card, config.codec_path, config.text_path)
    bucket = size_of(config, card)
    videos = plan(read_prompts(config.prompts), config.samples_per_prompt, config.seed)
    claim_output(config, config.output)
    with WriterLock(config.output) as lock:
        claim_inputs(config, export, videos)
        jobs = [VideoJob(config, export, bucket, video, lock.token()) for video in videos]
        left = [job for job in jobs if not storage.exists(storage.join(config.output, job.video.name))]
        if left:
            make_videos(config, left, done=len(jobs) - len(left))
        lines = [
            json.dumps({"video": video.name, "prompt": video.prompt, "index": video.index, "seed": video.seed})
            for video in videos
        ]
        storage.write_atomic(storage.join(config.output, LISTING), ("\n".join(lines) + "\n").encode())
    return GenerateResult(config.output, len(videos), bucket.name, card.fps)


def make_videos(config: GenerateConfig, jobs: list[VideoJob], done: int) -> None:
    """Makes videos on Ray, each on one CPU, or on one GPU where the cluster has any."""
    with session(config.cluster, config.workers), progress("generate", total=done + len(jobs), unit="videos") as bar:
        bar.advance(done)
        for name in in_parallel(make_video, jobs, worker_count(config.workers), gpus=1.0 if has_gpus() else 0.0):
            bar.advance(note=name)


# ---------------------------------------------------------------------------------------------------- planning


def read_prompts(path: str) -> list[str]:
    """The prompts of a text file, one a line; blank lines do not count.

    Raises:
        RequestError: no such file, no prompt in it, or a prompt with an image.
    """
    try:
        text = storage.read_bytes(path).decode()
    except (FileNotFoundError, IsADirectoryError, UnicodeDecodeError) as error:
        raise RequestError(f"prompts={path}: a text file with one prompt a line ({type(error).__name__})") from error
    prompts = [line.strip() for line in text.splitlines() if line.strip()]
    if not prompts:
        raise RequestError(f"prompts={path}: holds no prompt")
    for prompt in prompts:
        if IMAGE in prompt:
            raise RequestError(f"prompts={path}: {prompt!r} begins from an image; this version makes videos from text")
    return prompts


def plan(prompts: list[str], samples: int, seed: int) -> list[Video]:
    """The videos of some prompts, in their order. A prompt that comes again is named by its place in the file."""
    videos: list[Video] = []
    taken: set[str] = set()
    for index, prompt in enumerate(prompts):
        stem = prompt if is_file_name(prompt) and prompt not in taken else f"{index:06d}"
        taken.add(prompt)
        videos.extend(Video(f"{stem}-{n}.mp4", prompt, n, noise_seed(seed, index, n)) for n in range(samples))
    return videos


def is_file_name(prompt: str) -> bool:
    """Whether a prompt can name a file on every common file system, and is none of this folder's own names."""
    printable = prompt.isprintable() and not set(prompt) & set('/\\<>:"|?*')
    return printable and not prompt.startswith(".") and len(prompt.encode()) <= LONGEST_NAME


def noise_seed(seed: int, prompt: int, sample: int) -> int:
    """63 bits from the run's seed, the prompt's place and the sample's number."""
    text = f"{seed} {prompt} {sample}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def size_of(config: GenerateConfig, card: ModelCard) -> Bucket:
    """The size asked for, the model's own where nothing was.

    Raises:
        RequestError: the codec cannot make it.
    """
    own = Bucket.parse(card.bucket)
    bucket = Bucket(config.frames or own.frames, config.height or own.height, config.width or own.width)
    try:
        get_codec(card.codec, config.codec_path).latent_shape(bucket.frames, bucket.height, bucket.width)
    except ValueError as error:
        raise RequestError(f"frames, height, width: {error}") from error
    return bucket


def claim_inputs(config: GenerateConfig, export: str, videos: list[Video]) -> None:
    """Binds the output to this model and these prompts: finished videos of others must not be taken for theirs.

    Raises:
        RequestError: the output holds videos of others.
    """
    weights = storage.join(export, "transformer")
    model = {name: storage.sha256_file(storage.join(weights, name)) for name in storage.list_dir(weights)}
    names = [[video.name, video.prompt] for video in videos]
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
    card = read_card(job.export)
    frames = draw(job.config, job.export, card, job.bucket, job.video)
    data = encode_mp4(frames, card.fps)
    job.token.check()
    storage.write_atomic(storage.join(job.config.output, job.video.name), data)
    return job.video.name


def draw(config: GenerateConfig, export: str, card: ModelCard, bucket: Bucket, video: Video) -> np.ndarray:
    """The frames of one video, uint8 (T, H, W, 3)."""
    model = load_model(export)
    codec = get_codec(card.codec, config.codec_path)
    encoder = get_text_encoder(card.text, config.text_path)
    caption = with_motion(video.prompt, config.motion_score if config.motion_score >= 0 else None)
    text, mask = (torch.from_numpy(part) for part in encoder.encode([caption]))
    null_text, null_mask = (torch.from_numpy(part) for part in pad([encoder.encode_null(config.negative_prompt)]))
    latents = sample(
        model,
        text,
        mask,
        null_text,
        null_mask,
        shape=(1, *codec.latent_shape(bucket.frames, bucket.height, bucket.width)),
        steps=config.steps,
        cfg=config.cfg,
        scheduler=load_scheduler(storage.join(export, "scheduler")),
        generator=torch.Generator().manual_seed(video.seed),
    )
    return codec.decode(latents[0].cpu().numpy())


@functools.lru_cache(maxsize=1)
def load_model(export: str) -> LinearDiT:
    """The model of an export folder, once a process: in float32, or as stored on the GPU that Ray gave the task."""
    torch.set_num_threads(1)
    model = LinearDiT.from_diffusers(storage.join(export, "transformer"))
    return model.to("cuda") if torch.cuda.is_available() else model.float()
