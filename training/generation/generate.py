"""`framemill generate`: generates one mp4 file per prompt and sample.

A video's noise depends only on the seed, the prompt's index in the file and the sample's number: neither the number of
workers nor a restart can change the video. A bidirectional model generates all frames at once. A
block-causal model generates a video block by block, and each block is decoded before the next block is generated.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from framemill.platform import storage
from framemill.platform.cluster import session, worker_count
from framemill.platform.compose import resolve
from framemill.platform.errors import RequestError
from framemill.platform.frozen_config import claim_output
from framemill.platform.pools import finish_all, has_gpus, map_tasks
from framemill.platform.writer_lock import WriterLock
from framemill.training.generation.checks import image_hashes, video_bucket
from framemill.training.generation.config import GenerateConfig
from framemill.training.generation.model_card import check_networks, find_export, network_path, read_card
from framemill.training.generation.prompts import PromptVideo, plan_videos, read_prompts
from framemill.training.generation.worker import VideoRequest, VideoTask, make_video

_LISTING = "videos.jsonl"
"""File with a line for each video: name, prompt, sample, seed and image."""


@dataclass(frozen=True)
class GenerateResult:
    """Result of the job `generate`."""

    output: str
    """Folder or URI of the videos."""
    videos: int
    """Number of videos."""
    bucket: str
    """Frames, height and width of the videos, e.g. 17x64x112."""
    fps: float
    """Frame rate, frames per second."""

    def line(self) -> str:
        """Returns a one-line summary of the result, which the job prints."""
        return f"generate: {self.videos} videos of {self.bucket} at {self.fps:g} fps -> {self.output}"


def generate(config: GenerateConfig | None = None, **keys: Any) -> GenerateResult:
    """Generates the videos that the output does not have yet, and lists all videos in `videos.jsonl`.

    Args:
        config: the whole config, or None.
        **keys: the command's keys, e.g. `model`, `prompts`, `output`.

    Raises:
        RequestError: there is no model or no prompt, an image cannot be read, the model does not support the size or
            the blocks, or the output contains other videos.
        PendingError: some videos are not generated yet; the same command tries these videos again.
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
    bucket = video_bucket(config, card, export)
    prompts = read_prompts(config.prompts)
    images = image_hashes(config, bucket, [prompt.image for prompt in prompts if prompt.image])
    videos = plan_videos(prompts, config.samples_per_prompt, config.seed)
    claim_output(config, config.output)
    with WriterLock(config.output) as lock:
        _claim_inputs(config, export, networks, videos, images)
        tasks = [VideoTask(VideoRequest(config, export, bucket, video), lock.token()) for video in videos]
        waiting = [task for task in tasks if not storage.exists(task.request.uri)]
        if waiting:
            _make_videos(config, waiting, total=len(tasks))
        listing = "".join(json.dumps(_listing_line(video)) + "\n" for video in videos)
        storage.write_atomic(storage.join(config.output, _LISTING), listing.encode())
    return GenerateResult(config.output, len(videos), bucket.name, card.fps)


def _make_videos(config: GenerateConfig, tasks: list[VideoTask], total: int) -> None:
    """Generates videos on Ray; each video uses one CPU, and one GPU if the cluster has GPUs."""
    with session(config.cluster, config.workers):
        gpus = 1.0 if has_gpus() else 0.0
        workers = worker_count(config.workers)
        results = map_tasks(make_video, tasks, workers, gpus, name=lambda task: task.request.video.name)
        finish_all(results, label="generate", total=total, unit="videos", done=total - len(tasks))


def _listing_line(video: PromptVideo) -> dict[str, str | int]:
    """Returns a video's object in the listing."""
    image = {"image": video.prompt.image} if video.prompt.image else {}
    return {"video": video.name, "prompt": video.prompt.text, "index": video.index, "seed": video.seed, **image}


def _claim_inputs(
    config: GenerateConfig, export: str, networks: dict[str, str], videos: list[PromptVideo], images: dict[str, str]
) -> None:
    """Binds the output to its model, networks, prompts and images, so that a video of another input is never reused.

    Raises:
        RequestError: the output holds videos of another model or of other prompts.
    """
    weights = storage.join(export, "transformer")
    model = networks | {name: storage.sha256_file(storage.join(weights, name)) for name in storage.list_dir(weights)}
    names = [
        [video.name, video.prompt.text, *([images[video.prompt.image]] if video.prompt.image else [])]
        for video in videos
    ]
    inputs = {"model": model, "videos": names}
    uri = storage.join(config.output, "work", "inputs.json")
    if storage.exists(uri):
        claimed = json.loads(storage.read_bytes(uri))
        for key, setting, other in (
            ("model", f"model={config.model}", "another model"),
            ("videos", f"prompts={config.prompts}", "other prompts"),
        ):
            if claimed[key] != inputs[key]:
                raise RequestError(f"{setting}: output={config.output} holds videos of {other}; choose another output")
    storage.write_atomic(uri, json.dumps(inputs, sort_keys=True).encode())
