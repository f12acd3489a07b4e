"""Real clips, and stills made of their frames: what a motion score must keep, and what it must not be taken in by.

Reads a folder of videos that is not part of the repository; without it there are none.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from framemill.data_filters.filters.clip_frames import ClipFrames, small_size
from framemill.data_filters.measure.config import ClipConfig
from framemill.data_filters.measure.splitter import Splitter
from framemill.platform.vision.video import VideoError, iter_frames, probe
from tests.bench.motion_set import CRF, FRAMES, STILL, altered, seen

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "videos"
LONGEST = 640
"""Pixels of the stills."""
HELD = 40
"""The frame of each video that is held still, its last one where it has fewer. The gate was set on the first ones."""


def real_clips(folder: Path = FOLDER) -> dict[str, ClipFrames]:
    """The clips of every whole video by file and number, cut as `curate` does by default, as a filter sees them."""
    default = ClipConfig()
    bounds = (default.min_seconds, default.max_seconds, default.trim_s)
    clips: dict[str, ClipFrames] = {}
    for path in sorted(folder.glob("*.*")):
        clips_of_file: list[ClipFrames] = []
        try:
            info = probe(str(path))
            splitter = Splitter(info.fps, info.width, info.height, *bounds)
            for frame in iter_frames(str(path), size=small_size(info.width, info.height)):
                clips_of_file.extend(splitter.push(frame))
        except VideoError:
            continue
        clips_of_file.extend(splitter.finish())
        clips.update({f"{path.name}:{number}": clip for number, clip in enumerate(clips_of_file)})
    return clips


@dataclass(frozen=True)
class HeldFrame:
    """One real frame, held for a second in which only light, grain or a dissolve into another frame changes it."""

    source: str
    kind: str
    """One of STILL."""
    amount: float
    picture: np.ndarray
    """float32 (H, W, 3) RGB."""
    other: np.ndarray

    def frames(self) -> Iterator[np.ndarray]:
        """uint8 (H, W, 3) RGB."""
        random = np.random.default_rng([*self.source.encode(), *self.kind.encode()])
        for frame in range(FRAMES):
            shown = altered(self.picture, self.kind, self.amount, frame / (FRAMES - 1), random, self.other)
            yield np.clip(np.rint(shown), 0, 255).astype(np.uint8)


def held_frames(folder: Path = FOLDER) -> list[HeldFrame]:
    """A frame of every readable video, held and changed in every way; each dissolves into that of the next video."""
    pictures: dict[str, np.ndarray] = {}
    for path in sorted(folder.glob("*.*")):
        try:
            info = probe(str(path))
            scale = LONGEST / max(info.width, info.height) / 2
            size = 2 * round(info.width * scale), 2 * round(info.height * scale)
            for frame in itertools.islice(iter_frames(str(path), size=size), HELD + 1):
                pictures[path.name] = frame.rgb.astype(np.float32)
        except VideoError:
            continue
    stills, names = [], list(pictures)
    for name, following in zip(names, names[1:] + names[:1], strict=True):
        picture = pictures[name]
        other = cv2.resize(pictures[following], picture.shape[1::-1], interpolation=cv2.INTER_AREA)
        stills += [HeldFrame(name, kind, a, picture, other) for kind, amounts in STILL.items() for a in amounts]
    return stills


def encoded_still(still: HeldFrame, folder: str) -> ClipFrames:
    """As a filter sees it: H.264 and back."""
    return seen(still.frames(), os.path.join(folder, f"{still.source}-{still.kind}-{still.amount:g}.mp4"), CRF[0])
