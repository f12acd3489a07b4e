"""Clips as a curriculum wants them: for each stage, the right bucket, rate and length; and pictures to begin from."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np

from framemill.platform.vision.video import iter_frames, retime
from framemill.training.buckets import Bucket, nearest_bucket
from framemill.training.curriculum import CurriculumConfig, stage_buckets


@dataclass(frozen=True)
class Target:
    """What a stage asks of one clip."""

    bucket: Bucket
    fps: float


def targets(curriculum: CurriculumConfig, width: int, height: int, duration: float) -> list[Target]:
    """What the stages ask of a clip of width x height pixels and `duration` seconds; each thing once.

    A clip too short for a stage gives it nothing: no frame is ever shown twice to fill a length.
    """
    found = [
        Target(nearest_bucket(stage_buckets(stage), width, height), stage.fps)
        for stage in curriculum.stages.values()
        if round(duration * stage.fps) >= stage.frames
    ]
    return list(dict.fromkeys(found))


def asked(curriculum: CurriculumConfig) -> list[list[float]]:
    """[resolution, frames, fps, side] of the stages, each once and in order: all that clips take from a curriculum."""
    kinds = {(s.resolution, s.frames, s.fps, s.side) for s in curriculum.stages.values()}
    return [list(kind) for kind in sorted(kinds)]


def covering_size(bucket: Bucket, width: int, height: int) -> tuple[int, int]:
    """The smallest (width, height) of the picture's own shape that covers the bucket."""
    scale = max(bucket.width / width, bucket.height / height)
    return max(bucket.width, round(width * scale)), max(bucket.height, round(height * scale))


def read_clip(
    path: str, target: Target, width: int, height: int, in_s: float = 0.0, out_s: float | None = None
) -> np.ndarray:
    """The beginning of a clip of width x height pixels as its target asks: uint8 (T, H, W, 3) RGB.

    The clip is what the file shows in [in_s, out_s) seconds.

    Scaled to cover the bucket, cropped to its middle, at the target's rate.

    Raises:
        VideoError: the file cannot be read.
        ValueError: it has no frames.
    """
    bucket = target.bucket
    wide, high = covering_size(bucket, width, height)
    left, top = (wide - bucket.width) // 2, (high - bucket.height) // 2
    shown = iter_frames(path, size=(wide, high), start_s=in_s, end_s=out_s)
    ticks = retime(shown, target.fps, bucket.frames / target.fps)
    # islice stops the decoder with the last tick; retime alone would read on to the end of the file.
    frames = [
        frame[top : top + bucket.height, left : left + bucket.width] for frame in itertools.islice(ticks, bucket.frames)
    ]
    return np.stack(frames)


def read_picture(data: bytes, bucket: Bucket) -> np.ndarray:
    """A picture file's content as the first frame of a bucket, framed as clips are: uint8 (1, H, W, 3) RGB.

    Raises:
        ValueError: it is no picture.
    """
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB) if data else None
    if picture is None:
        raise ValueError("is no picture that can be read")
    height, width = picture.shape[:2]
    wide, high = covering_size(bucket, width, height)
    left, top = (wide - bucket.width) // 2, (high - bucket.height) // 2
    scaled = cv2.resize(picture, (wide, high), interpolation=cv2.INTER_AREA if wide < width else cv2.INTER_CUBIC)
    return np.ascontiguousarray(scaled[None, top : top + bucket.height, left : left + bucket.width])
