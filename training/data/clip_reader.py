"""Reads clips in the bucket, frame rate and length of a training stage, and images as first frames of videos."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np

from framemill.platform.vision.video import iter_frames, retime
from framemill.training.buckets import Bucket, nearest_bucket
from framemill.training.curriculum import CurriculumConfig, stage_buckets


@dataclass(frozen=True)
class LatentTarget:
    """Bucket and frame rate of one latent of a clip."""

    bucket: Bucket
    """Number of frames, height and width."""
    fps: float
    """Frame rate, frames per second."""


def latent_targets(curriculum: CurriculumConfig, width: int, height: int, duration: float) -> list[LatentTarget]:
    """Returns the distinct buckets and frame rates in which the curriculum's stages use a clip.

    A clip that is too short for a stage has no latent for it: frames are never repeated to fill a length.

    Args:
        curriculum: the stages.
        width: width of the clip in pixels.
        height: height of the clip in pixels.
        duration: length of the clip in seconds.
    """
    targets = [
        LatentTarget(nearest_bucket(stage_buckets(stage), width, height), stage.fps)
        for stage in curriculum.stages.values()
        if round(duration * stage.fps) >= stage.frames
    ]
    return list(dict.fromkeys(targets))


def stage_shapes(curriculum: CurriculumConfig) -> list[list[float]]:
    """Returns the distinct [resolution, frames, fps, side] of the stages, sorted.

    Latents depend on no other values of a curriculum.
    """
    shapes = {(s.resolution, s.frames, s.fps, s.side) for s in curriculum.stages.values()}
    return [list(shape) for shape in sorted(shapes)]


def covering_size(bucket: Bucket, width: int, height: int) -> tuple[int, int]:
    """Returns the smallest (width, height) with the aspect ratio of width x height that covers the bucket."""
    scale = max(bucket.width / width, bucket.height / height)
    return max(bucket.width, round(width * scale)), max(bucket.height, round(height * scale))


def read_clip(
    path: str, target: LatentTarget, width: int, height: int, in_s: float = 0.0, out_s: float | None = None
) -> np.ndarray:
    """Returns the beginning of a clip as uint8 RGB (T, H, W, 3) of the target's bucket and frame rate.

    Frames are scaled to cover the bucket and cropped to its centre.

    Args:
        path: video file.
        target: bucket and frame rate.
        width: width of the clip in pixels.
        height: height of the clip in pixels.
        in_s: start of the clip in the file, seconds.
        out_s: end of the clip in the file, seconds; None: the end of the file.

    Raises:
        VideoError: the file cannot be read.
        ValueError: the clip has no frames.
    """
    bucket = target.bucket
    scaled_width, scaled_height = covering_size(bucket, width, height)
    left, top = (scaled_width - bucket.width) // 2, (scaled_height - bucket.height) // 2
    decoded = iter_frames(path, size=(scaled_width, scaled_height), start_s=in_s, end_s=out_s)
    resampled = retime(decoded, target.fps, bucket.frames / target.fps)
    # islice stops the decoder after the last frame; retime alone would read on to the end of the file.
    frames = [
        frame[top : top + bucket.height, left : left + bucket.width]
        for frame in itertools.islice(resampled, bucket.frames)
    ]
    return np.stack(frames)


def read_image(data: bytes, bucket: Bucket) -> np.ndarray:
    """Returns an image as the first frame of a bucket, uint8 RGB (1, H, W, 3), scaled and cropped.

    The image is scaled to cover the bucket and cropped to its centre, as frames of clips are.

    Args:
        data: content of an image file.
        bucket: size of the frame.

    Raises:
        ValueError: the content is not an image.
    """
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB) if data else None
    if image is None:
        raise ValueError("is not an image that can be read")
    height, width = image.shape[:2]
    scaled_width, scaled_height = covering_size(bucket, width, height)
    left, top = (scaled_width - bucket.width) // 2, (scaled_height - bucket.height) // 2
    interpolation = cv2.INTER_AREA if scaled_width < width else cv2.INTER_CUBIC
    scaled = cv2.resize(image, (scaled_width, scaled_height), interpolation=interpolation)
    return np.ascontiguousarray(scaled[None, top : top + bucket.height, left : left + bucket.width])
