"""The curriculum: an ordered list of stages, each with a resolution, a length, and how it is trained.

A stage trains one model on up to three tasks at once: text to video; image to video, where a clip's first latent frame
is given clean; and images, which are videos of one latent frame.
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
    """One stage. Weights and the optimiser's moments go on from the stage before it."""

    resolution: int = key(help="height of the 16:9 picture in pixels; the other aspect ratios have about its area")
    frames: int = key(help="frames of a clip: 4k + 1")
    fps: float = key(16.0, "frames per second that clips are resampled to")
    side: int = key(
        16, "heights and widths are multiples of it: the codec's stride (32 for ltx2, dcae) times the patch"
    )
    steps: int = key(help="optimiser steps")
    batch_size: int = key(help="clips in a step, over all workers")
    block_frames: int = key(
        0,
        "latent frames of a block: a frame sees its own and earlier ones alone, and the model streams; 0: sees all",
    )
    image_to_video: float = key(0.0, "share of clips whose first latent frame is given clean, and not learned")
    images: float = key(0.0, "share of steps on images: the first latent frame of each clip, alone")
    image_batch_size: int = key(0, "images in such a step, over all workers; 0: batch_size")
    micro_batch: int = key(0, "clips a worker takes through the model at once; 0: its whole share")
    lr: float = key(5e-5, "learning rate after warm-up")
    warmup: int = key(0, "steps over which the rate grows to lr, at the beginning of the stage")
    cooldown: int = key(0, "steps over which the rate falls towards 0, at the end of the stage")
    flow_shift: float = key(3.0, "timesteps are moved towards noise: s' = shift s / (1 + (shift - 1) s)")

    def validate(self) -> None:
        bucket_table(self.resolution, self.frames, self.side)
        for name in ("fps", "steps", "batch_size", "lr", "flow_shift"):
            if not 0 < getattr(self, name) < math.inf:
                raise RequestError(f"{name}={getattr(self, name)}: is a number above 0")
        for name in ("micro_batch", "warmup", "cooldown", "block_frames", "image_batch_size"):
            if getattr(self, name) < 0:
                raise RequestError(f"{name}={getattr(self, name)}: is at least 0")
        for name in ("image_to_video", "images"):
            if not 0 <= getattr(self, name) <= 1:
                raise RequestError(f"{name}={getattr(self, name)}: is a share, from 0 to 1")
        if self.image_batch_size and not self.images:
            raise RequestError(f"image_batch_size={self.image_batch_size}: the stage has no images; give images=")
        if self.frames == 1:
            for name in ("block_frames", "image_to_video", "images"):
                if getattr(self, name):
                    raise RequestError(f"{name}={getattr(self, name)}: with frames=1 the stage is of images alone")

    def lr_at(self, step: int) -> float:
        """The learning rate of the stage's step, counted from 0: constant (SANA-Video) between linear ramps."""
        rising = (step + 1) / self.warmup if self.warmup else 1.0
        falling = (self.steps - step) / (self.cooldown + 1) if self.cooldown else 1.0
        return self.lr * min(1.0, rising, falling)

    def blocks(self, latent_frames: int) -> list[int] | None:
        """The first frames of a clip's blocks; None where all its frames see each other."""
        return block_starts(latent_frames, self.block_frames) if self.block_frames else None

    def micro_batches(self, workers: int) -> int:
        """How many forward passes a worker makes for a step; for one on images the same number.

        Raises:
            RequestError: a batch cannot be shared out equally.
        """
        share, rest = divmod(self.batch_size, workers)
        if rest:
            raise RequestError(f"batch_size={self.batch_size}: has to be a multiple of the {workers} workers")
        passes, rest = divmod(share, self.micro_batch or share)
        if rest:
            raise RequestError(f"micro_batch={self.micro_batch}: has to divide a worker's share of {share} clips")
        if self.image_batch_size % (workers * passes):
            raise RequestError(
                f"image_batch_size={self.image_batch_size}: has to be a multiple of the {workers} workers x {passes} "
                "passes that a step has"
            )
        return passes


def block_starts(frames: int, length: int) -> list[int]:
    """The first frames of the blocks of `length` that a video falls into. What is left over is the first block's.

    21 frames in blocks of 10 are [0, 11]: 11 and 10, as SANA-Video has it.
    """
    return [0, *range(frames - (max(1, frames // length) - 1) * length, frames, length)]


@dataclass
class CurriculumConfig:
    stages: Dict[str, StageConfig] = key(dict, "the stages by name, in the order they are trained in")
    sampling_flow_shift: float = key(8.0, "flow shift of the exported scheduler, which generation follows")

    def validate(self) -> None:
        if not 0 < self.sampling_flow_shift < math.inf:
            raise RequestError(f"curriculum.sampling_flow_shift={self.sampling_flow_shift}: is a number above 0")
        if not self.stages:
            raise RequestError("curriculum.stages: has at least one stage")
        for name in self.stages:
            if not name.isidentifier():
                raise RequestError(f"curriculum.stages.{name}: a name is of letters, digits and underscores")

    @property
    def total_steps(self) -> int:
        return sum(stage.steps for stage in self.stages.values())

    @property
    def final(self) -> StageConfig:
        return list(self.stages.values())[-1]

    def locate(self, step: int) -> tuple[str, int]:
        """The stage that the run's step (counted from 0) falls into, and the step within it, from 0.

        Raises:
            IndexError: the curriculum is over by then.
        """
        for name, stage in self.stages.items():
            if step < stage.steps:
                return name, step
            step -= stage.steps
        raise IndexError("the step lies behind the last stage")


def stage_buckets(stage: StageConfig) -> list[Bucket]:
    """The buckets of a stage's resolution and length."""
    return bucket_table(stage.resolution, stage.frames, stage.side)
