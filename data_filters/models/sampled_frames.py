"""Sampling the frames of a clip for a network, which a worker's decoder process decodes again from the source."""

from __future__ import annotations

import importlib
import itertools
import tempfile
from collections.abc import Iterable, Iterator

import numpy as np

from framemill.data_filters.models.base import FrameRequest, SampledFrames, ScorableClip, Scorer
from framemill.platform.vision.read import DecodedFrame, iter_decoded_frames, to_rgb
from framemill.platform.vision.video import VideoError, encode_mp4

SAMPLE_S = 1.0
"""Time between the frames sampled for image networks, seconds."""
_SLACK_S = 1e-6
"""Times that differ by less than this count as equal, since they are sums of rounded steps."""


def frame_request_every(clip: ScorableClip, every_s: float, size: tuple[int, int]) -> FrameRequest:
    """Returns the request for the frames of a clip that `read_frames_every` reads, at `size` (width, height)."""
    return FrameRequest(f"{__name__}:read_frames_every", (clip.start_s, clip.frames, every_s, size))


def read_frames_every(path: str, start_s: float, frames: int, every_s: float, size: tuple[int, int]) -> SampledFrames:
    """Returns the frames of a clip nearest to multiples of `every_s` after its start.

    Args:
        path: local file of the source.
        start_s: time of the clip's first frame, seconds since the source's first frame.
        frames: number of frames of the clip.
        every_s: time between sampled frames, seconds.
        size: width and height that the frames are scaled to.

    Raises:
        VideoError: the frames that were measured cannot be decoded again.
    """
    clip = require_count(itertools.islice(iter_decoded_frames(path, start_s=start_s), frames), frames)
    chosen = [(one.time_s, to_rgb(one.frame, *size)) for one in frames_every(clip, every_s)]
    return SampledFrames(np.array([time_s for time_s, _ in chosen]), np.stack([rgb for _, rgb in chosen]))


def require_count(decoded: Iterator[DecodedFrame], count: int) -> Iterator[DecodedFrame]:
    """Yields the frames unchanged and checks their number at the end.

    Raises:
        VideoError: there were fewer than `count` frames.
    """
    seen = 0
    for frame in decoded:
        seen += 1
        yield frame
    if seen < count:
        raise VideoError(f"only {seen} of its {count} frames are there")


def frames_every(decoded: Iterable[DecodedFrame], every_s: float) -> Iterator[DecodedFrame]:
    """Yields the frames that `ClipFrames.every` selects, with at most two frames in memory.

    If only the first frame is selected, the last frame is yielded too, so that the sample of a short clip covers both
    its ends.
    """
    before: DecodedFrame | None = None
    last: DecodedFrame | None = None
    first_s, ticks, count = 0.0, 0, 0
    for frame in decoded:
        first_s = frame.time_s if before is None else first_s
        while (tick := first_s + ticks * every_s) < frame.time_s + _SLACK_S:
            nearer = before if before and tick - before.time_s <= frame.time_s - tick else frame
            if nearer is not last:
                yield nearer
                last, count = nearer, count + 1
            ticks += 1
        before = frame
    if count == 1 and before is not None and before is not last:
        yield before


def black_frames(scorer: Scorer) -> SampledFrames:
    """Returns the frames that a scorer requests of one second of black video, to test the scorer."""
    width, height, frames = 320, 180, 8
    video = encode_mp4((np.zeros((height, width, 3), np.uint8) for _ in range(frames)), frames)
    request = scorer.frame_request(ScorableClip("black", 0.0, frames, width, height))
    module, _, name = request.function.partition(":")
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        file.write(video)
        file.flush()
        sampled: SampledFrames = getattr(importlib.import_module(module), name)(file.name, *request.arguments)
    return sampled
