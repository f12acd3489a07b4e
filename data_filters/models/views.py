"""The pictures of a clip that a network sees. They are read again from the source, in a worker's expendable child."""

from __future__ import annotations

import importlib
import itertools
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from framemill.data_filters.models.base import FrameRequest, ScorableClip
from framemill.platform.vision.read import DecodedFrame, iter_decoded_frames, to_rgb
from framemill.platform.vision.video import VideoError, encode_mp4

if TYPE_CHECKING:
    from framemill.data_filters.models.base import Scorer

LOOK_S = 1.0
"""How far apart the frames lie that networks for single pictures see."""
SLACK_S = 1e-6


@dataclass(frozen=True)
class Views:
    times: np.ndarray
    """float64 (N,): seconds since the source's first frame."""
    pictures: np.ndarray
    """uint8 (N, h, w, 3) RGB, upright."""


def view_clip(path: str, start_s: float, frames: int, every_s: float, size: tuple[int, int]) -> Views:
    """The frames nearest to each multiple of `every_s` of a clip of `frames` frames, at `size` (width, height).

    Raises:
        VideoError: the clip cannot be read again as it was measured.
    """
    clip = counted(itertools.islice(iter_decoded_frames(path, start_s=start_s), frames), frames)
    seen = [(one.time_s, to_rgb(one.frame, *size)) for one in every(clip, every_s)]
    return Views(np.array([time_s for time_s, _ in seen]), np.stack([rgb for _, rgb in seen]))


def counted(pictures: Iterator[DecodedFrame], frames: int) -> Iterator[DecodedFrame]:
    """The pictures, if there are so many."""
    count = 0
    for picture in pictures:
        count += 1
        yield picture
    if count < frames:
        raise VideoError(f"only {count} of its {frames} frames are there")


def every(pictures: Iterable[DecodedFrame], every_s: float) -> Iterator[DecodedFrame]:
    """The pictures that `ClipFrames.every` chooses, without holding the others.

    Where that is the first alone, the last one too: a short clip is seen at both its ends.
    """
    before: DecodedFrame | None = None
    given: DecodedFrame | None = None
    first_s, ticks, chosen = 0.0, 0, 0
    for picture in pictures:
        first_s = picture.time_s if before is None else first_s
        while (tick := first_s + ticks * every_s) < picture.time_s + SLACK_S:
            nearer = before if before and tick - before.time_s <= picture.time_s - tick else picture
            if nearer is not given:
                yield nearer
                given, chosen = nearer, chosen + 1
            ticks += 1
        before = picture
    if chosen == 1 and before is not None and before is not given:
        yield before


def sampled(clip: ScorableClip, every_s: float, size: tuple[int, int]) -> FrameRequest:
    """A look at a clip's frames nearest to each multiple of `every_s`, at `size` (width, height)."""
    return FrameRequest(f"{__name__}:view_clip", (clip.start_s, clip.frames, every_s, size))


def black_views(scorer: Scorer) -> Views:
    """What a scorer sees of a second of black, to try it on."""
    width, height, frames = 320, 180, 8
    video = encode_mp4((np.zeros((height, width, 3), np.uint8) for _ in range(frames)), frames)
    request = scorer.frame_request(ScorableClip("black", 0.0, frames, width, height))
    module, _, name = request.function.partition(":")
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        file.write(video)
        file.flush()
        views: Views = getattr(importlib.import_module(module), name)(file.name, *request.arguments)
    return views
