"""Generates one video from a prompt and a seed, in a Ray task."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from framemill.platform import storage
from framemill.platform.vision.video import encode_mp4
from framemill.platform.writer_lock import LockToken
from framemill.training.buckets import Bucket
from framemill.training.codecs import get_codec
from framemill.training.curriculum import block_starts
from framemill.training.data.clip_reader import read_image
from framemill.training.generation.config import GenerateConfig
from framemill.training.generation.model_card import CARD_FILE, ModelCard, read_card
from framemill.training.generation.prompts import PromptVideo
from framemill.training.generation.sampling import SamplingRequest, sample, stream
from framemill.training.generation.scheduler import Scheduler, load_scheduler
from framemill.training.model import LinearDiT
from framemill.training.text import get_text_encoder
from framemill.training.text.base import pad
from framemill.training.text.motion import with_motion


@dataclass(frozen=True)
class VideoRequest:
    """One video to generate, and the model that generates the video."""

    config: GenerateConfig
    """Config of the job, with the paths of codec and text encoder filled in."""
    export: str
    """Folder that contains the model's `transformer/`."""
    bucket: Bucket
    """Frames, height and width of the video."""
    video: PromptVideo
    """Name, prompt and seed."""

    @property
    def uri(self) -> str:
        """URI of the video file."""
        return storage.join(self.config.output, self.video.name)

    def card(self) -> ModelCard:
        """Returns the card of the model."""
        return read_card(self.export, self.config.codec_path)


@dataclass(frozen=True)
class VideoTask:
    """Argument of the Ray task `make_video`."""

    request: VideoRequest
    """The video."""
    token: LockToken
    """Token of the driver's lock on the output."""


def make_video(task: VideoTask) -> None:
    """Generates one video and writes the mp4 file to the output."""
    request = task.request
    frames = (frame for part in video_parts(request) for frame in part)
    data = encode_mp4(frames, request.card().fps)
    task.token.check()
    storage.write_atomic(request.uri, data)


def video_parts(request: VideoRequest) -> Iterator[np.ndarray]:
    """Yields the frames of a video, uint8 RGB (T, H, W, 3): all frames at once, or block by block."""
    model, card = _load_model(request.export), request.card()
    codec = get_codec(card.codec, request.config.codec_path)
    sampling = sampling_request(request, card, model)
    if block_frames := request.config.block_frames or card.block_frames:
        blocks = stream(model, sampling, block_starts(sampling.shape[2], block_frames))
    else:
        blocks = iter([sample(model, sampling)])
    yield from codec.decode_blocks(block[0].cpu().numpy() for block in blocks)


def sampling_request(request: VideoRequest, card: ModelCard, model: LinearDiT) -> SamplingRequest:
    """Returns the sampling request of a video: embeddings, shape, noise and, for image to video, the first latent."""
    config, video = request.config, request.video
    codec, encoder = get_codec(card.codec, config.codec_path), get_text_encoder(card.text, config.text_path)
    caption = with_motion(video.prompt.text, config.motion_score if config.motion_score >= 0 else None)
    first = None
    if video.prompt.image:
        image = read_image(storage.read_bytes(video.prompt.image), request.bucket)
        first = torch.from_numpy(codec.encode(image))[None]
    text, mask = (torch.from_numpy(part) for part in pad([encoder.encode_one(caption)]))
    null_text, null_mask = (torch.from_numpy(part) for part in pad([encoder.encode_null(config.negative_prompt)]))
    if model.config.null_caption_tokens and not config.negative_prompt:
        null_text = model.null_caption.embedding.detach()[None]
        null_mask = torch.ones(null_text.shape[:2])
    return SamplingRequest(
        text=text,
        mask=mask,
        null_text=null_text,
        null_mask=null_mask,
        shape=(1, *codec.latent_shape(request.bucket.frames, request.bucket.height, request.bucket.width)),
        steps=config.steps,
        cfg=config.cfg,
        scheduler=export_scheduler(request.export),
        generator=torch.Generator().manual_seed(video.seed),
        first=first,
    )


def export_scheduler(export: str) -> Scheduler | None:
    """Returns the scheduler in a model's folder; None for a published model without a scheduler folder.

    Raises:
        RequestError: the scheduler of an export is missing, or the scheduler is not a flow solver.
    """
    folder = storage.join(export, "scheduler")
    is_export = storage.exists(storage.join(export, CARD_FILE))
    return load_scheduler(folder) if is_export or storage.exists(folder) else None


@functools.lru_cache(maxsize=1)
def _load_model(export: str) -> LinearDiT:
    """Returns a folder's model, in the stored precision on a GPU, in float32 on a CPU; the last model is cached."""
    torch.set_num_threads(1)
    model = LinearDiT.from_diffusers(storage.join(export, "transformer"))
    return model.to("cuda") if torch.cuda.is_available() else model.float()
