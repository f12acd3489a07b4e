"""The curriculum: an ordered list of training stages, each with a resolution, a length and its training parameters.

A stage trains one model on up to three tasks: text to video; image to video, where a clip's first latent frame is given
clean; and images, which are videos of one latent frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Dict

from framemill.platform.config import key
from framemill.platform.errors import RequestError
from framemill.training.buckets import Bucket, bucket_table


@dataclass
class StageConfig:
    """One training stage. Weights and optimiser moments continue from the previous stage."""

    resolution: int = key(help="height of a 16:9 frame in pixels; other aspect ratios have about the same area")
    frames: int = key(help="frames per clip, 4k + 1 (ltx2: 8k + 1)")
    fps: float = key(16.0, "frame rate to which clips are resampled, frames per second")
    side: int = key(
        16,
        "heights and widths are multiples of this many pixels: codec stride times patch size (16 for dct and wan, 32 "
        "for ltx2 and dcae)",
    )
    steps: int = key(help="number of optimiser steps of the stage")
    batch_size: int = key(help="clips per optimiser step, all workers together")
    block_frames: int = key(
        0,
        "latent frames per block of block-causal attention, in which a frame attends to frames of the current and "
        "earlier blocks; 0: bidirectional attention, all frames attend to each other",
    )
    image_to_video: float = key(
        0.0,
        "image to video: share of clips, 0 to 1, whose first latent frame has no noise and is excluded from the loss",
    )
    images: float = key(0.0, "share of steps, 0 to 1, that train on images: the first latent frames of clips")
    image_batch_size: int = key(0, "images per image step, all workers together; 0: batch_size")
    micro_batch: int = key(
        0, "clips per forward and backward pass of a worker; 0: the worker's whole share of the batch"
    )
    lr: float = key(5e-5, "learning rate after warm-up")
    warmup: int = key(0, "linear learning rate warm-up: number of steps at the beginning of the stage")
    cooldown: int = key(0, "linear learning rate decay towards 0: number of steps at the end of the stage")
    flow_shift: float = key(
        3.0,
        "flow shift s of the training timesteps, sigma -> s sigma / (1 + (s - 1) sigma); a higher shift gives more "
        "noise",
    )

    def validate(self) -> None:
        """Checks the ranges of the values and their combinations.

        Raises:
            RequestError: a value is out of range, or contradicts another.
        """
        bucket_table(self.resolution, self.frames, self.side)
        for name in ("fps", "steps", "batch_size", "lr", "flow_shift"):
            if not 0 < getattr(self, name) < math.inf:
                raise RequestError(f"{name}={getattr(self, name)}: must be a number above 0")
        for name in ("micro_batch", "warmup", "cooldown", "block_frames", "image_batch_size"):
            if getattr(self, name) < 0:
                raise RequestError(f"{name}={getattr(self, name)}: must be at least 0")
        for name in ("image_to_video", "images"):
            if not 0 <= getattr(self, name) <= 1:
                raise RequestError(f"{name}={getattr(self, name)}: must be a share from 0 to 1")
        if self.image_batch_size and not self.images:
            raise RequestError(
                f"image_batch_size={self.image_batch_size}: must be 0 while images=0; set images= to a share above 0"
            )
        if self.frames == 1:
            for name in ("block_frames", "image_to_video", "images"):
                if getattr(self, name):
                    raise RequestError(f"{name}={getattr(self, name)}: must be 0 with frames=1, a stage of images")

    def learning_rate(self, step: int) -> float:
        """Returns the learning rate of a stage's step, from 0: constant between linear warm-up and decay."""
        rising = (step + 1) / self.warmup if self.warmup else 1.0
        falling = (self.steps - step) / (self.cooldown + 1) if self.cooldown else 1.0
        return self.lr * min(1.0, rising, falling)

    def blocks(self, latent_frames: int) -> list[int] | None:
        """Returns the first frame of each block of a clip; None in a bidirectional stage."""
        return block_starts(latent_frames, self.block_frames) if self.block_frames else None

    def micro_batches(self, workers: int) -> int:
        """Returns the number of micro-batches per worker and step, which is the same for video and image steps.

        Raises:
            RequestError: a batch cannot be divided equally.
        """
        share, rest = divmod(self.batch_size, workers)
        if rest:
            raise RequestError(f"batch_size={self.batch_size}: must be a multiple of the {workers} workers")
        count, rest = divmod(share, self.micro_batch or share)
        if rest:
            raise RequestError(f"micro_batch={self.micro_batch}: must divide a worker's share of {share} clips")
        if self.image_batch_size % (workers * count):
            raise RequestError(
                f"image_batch_size={self.image_batch_size}: must be a multiple of {workers} workers x {count} "
                "micro-batches"
            )
        return count


def block_starts(frames: int, length: int) -> list[int]:
    """Returns the first frame of each block of a video; the first block is longer by the remainder.

    21 frames in blocks of 10 are [0, 11]: 11 and 10, as in SANA-Video.

    Args:
        frames: latent frames of the video.
        length: latent frames of a block.
    """
    return [0, *range(frames - (max(1, frames // length) - 1) * length, frames, length)]


@dataclass
class CurriculumConfig:
    """The training stages of a run."""

    stages: Dict[str, StageConfig] = key(dict, "stages by name, in training order")
    sampling_flow_shift: float = key(8.0, "flow shift of the exported scheduler, used by generation")

    def validate(self) -> None:
        """Checks that there are stages and that their names can be part of a file name.

        Raises:
            RequestError: there is no stage, a name is not an identifier, or the flow shift is out of range.
        """
        if not 0 < self.sampling_flow_shift < math.inf:
            raise RequestError(f"curriculum.sampling_flow_shift={self.sampling_flow_shift}: must be a number above 0")
        if not self.stages:
            raise RequestError("curriculum.stages: must have at least one stage")
        for name in self.stages:
            if not name.isidentifier():
                raise RequestError(f"curriculum.stages.{name}: a name must be of letters, digits and underscores")

    @property
    def total_steps(self) -> int:
        """Optimiser steps of all stages."""
        return sum(stage.steps for stage in self.stages.values())

    @property
    def final(self) -> StageConfig:
        """The last stage."""
        return list(self.stages.values())[-1]


def stage_buckets(stage: StageConfig) -> list[Bucket]:
    """Returns the buckets of a stage's resolution and length."""
    return bucket_table(stage.resolution, stage.frames, stage.side)
