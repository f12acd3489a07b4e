"""A generated set of footage, copies of it made in known ways, and look-alikes that are no copies.

Everything is drawn from seeds, passes through a real H.264 encoder, and is measured as `curate` measures it.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from framemill.data_filters.measure.decode_pass import measure_source
from framemill.data_filters.measure.messages import MeasuredClip, MeasureSettings
from framemill.platform.vision.reel import FPS as REEL_FPS
from framemill.platform.vision.reel import Scene, render_scene
from framemill.platform.vision.video import encode_mp4
from tests.bench.motion_set import HEIGHT, WIDTH, scenery, through, with_object

FPS, SECONDS = 12, 3.0
SPEED_UP = (1.1, 2.0)
"""Drawn between these."""
CROP = 0.05
"""Of the width and of the height, taken off somewhere between all on one side and all on the other."""
TUNING, HELD_OUT = range(500, 506), range(600, 612)
"""Seeds. The hash's weights and the threshold were set on the first."""
Frames = list[np.ndarray]


@dataclass(frozen=True)
class Footage:
    """Frames uint8 (H, W, 3) RGB and their rate."""

    name: str
    frames: Frames
    fps: float
    crf: int = 23

    def clip(self, folder: str) -> MeasuredClip:
        """As `curate` measures it; what is no single clip is a fault of the set."""
        path = os.path.join(folder, "footage.mp4")
        with open(path, "wb") as file:
            file.write(encode_mp4(self.frames, self.fps, crf=self.crf))
        items = measure_source(path, MeasureSettings(0.5, 30.0, ()))
        clips = [item for item in items if isinstance(item, MeasuredClip)]
        assert len(clips) == 1, f"{self.name}: {len(clips)} clips"
        return clips[0]


def shown(picture: np.ndarray, path: Iterator[tuple[float, float, float]]) -> Frames:
    return [np.clip(np.rint(through(picture, *at)), 0, 255).astype(np.uint8) for at in path]


def footage(seed: int) -> list[Footage]:
    """What is copied: a pan, a zoom, a still camera on a moving object, and a scene of the reel."""
    random = np.random.default_rng(seed)
    steps = np.arange(round(FPS * SECONDS)) / FPS - SECONDS / 2
    right, down = random.uniform(20, 80, 2) * random.choice([-1, 1], 2)
    pan = shown(scenery(4 * seed), ((right * t, down * t, 1.0) for t in steps))
    zoom = shown(scenery(4 * seed + 1), ((0.0, 0.0, 1.12**t) for t in steps))
    still, other = (through(scenery(4 * seed + i), 0.0, 0.0, 1.0) for i in (2, 3))
    far = random.uniform(60, 160)
    places = [(WIDTH / 2 + far * t, HEIGHT / 2 + 0.3 * far * t) for t in steps]
    local = [with_object(still, other, place, 50.0) for place in places]
    every = {"pan": pan, "zoom": zoom, "object": [np.clip(frame, 0, 255).astype(np.uint8) for frame in local]}
    return [
        *(Footage(f"{kind}-{seed}", frames, FPS) for kind, frames in every.items()),
        Footage(f"reel-{seed}", list(render_scene(scene(seed), seed)), REEL_FPS),
    ]


def scene(seed: int, direction: str = "right") -> Scene:
    background, shape = (("red", "circle"), ("blue", "square"), ("green", "circle"))[seed % 3]
    return Scene(background, "grey" if seed % 2 else "yellow", shape, direction, "quickly")


def look_alikes(seed: int) -> list[Footage]:
    """No copies of `footage(seed)`: another part of the place that the pan shows, another object before other scenery
    of the same kind, a scene of the reel that moves elsewhere, and the same one over another texture."""
    random = np.random.default_rng([seed, 1])
    steps = np.arange(round(FPS * SECONDS)) / FPS - SECONDS / 2
    speed = random.uniform(-40, 40)
    elsewhere = shown(scenery(4 * seed), ((280.0, 280.0 + speed * t, 1.0) for t in steps))
    still, other = (through(scenery(4 * seed + i), 0.0, 0.0, 1.0) for i in (1002, 1003))
    local = [with_object(still, other, (WIDTH / 2 + 100 * t, HEIGHT / 2), 50.0) for t in steps]
    return [
        Footage(f"elsewhere-{seed}", elsewhere, FPS),
        Footage(f"another-object-{seed}", [np.clip(frame, 0, 255).astype(np.uint8) for frame in local], FPS),
        Footage(f"another-way-{seed}", list(render_scene(scene(seed, "up"), seed + 7000)), REEL_FPS),
        Footage(f"another-texture-{seed}", list(render_scene(scene(seed), seed + 8000)), REEL_FPS),
    ]


def resized(frames: Frames, scale: float) -> Frames:
    height, width = (2 * round(side * scale / 2) for side in frames[0].shape[:2])
    return [cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in frames]


def cropped(frames: Frames, random: np.random.Generator) -> Frames:
    height, width = frames[0].shape[:2]
    high, wide = (2 * round(side * (1 - CROP) / 2) for side in (height, width))
    top, left = round(random.uniform(0, height - high)), round(random.uniform(0, width - wide))
    return [frame[top : top + high, left : left + wide] for frame in frames]


def letterboxed(frames: Frames) -> Frames:
    bar = 2 * round(frames[0].shape[0] * 0.08)
    return [cv2.copyMakeBorder(frame, bar, bar, 0, 0, cv2.BORDER_CONSTANT) for frame in frames]


def sped_up(frames: Frames, random: np.random.Generator) -> Frames:
    return [frames[int(i)] for i in np.arange(0, len(frames), random.uniform(*SPEED_UP))]


def with_logo(frames: Frames, random: np.random.Generator) -> Frames:
    """A light plate with letters in a corner, an eighth of the width."""
    height, width = frames[0].shape[:2]
    wide, high = width // 8, height // 8
    plate = np.full((high, wide, 3), random.uniform(180, 255, 3), np.uint8)
    cv2.putText(plate, "LOGO", (2, high - 8), cv2.FONT_HERSHEY_SIMPLEX, wide / 85, (20, 20, 20), 2)
    left = random.choice([8, width - wide - 8])
    result = [frame.copy() for frame in frames]
    for frame in result:
        frame[8 : 8 + high, left : left + wide] = plate
    return result


COPIES: dict[str, Callable[[Footage, np.random.Generator], Footage]] = {
    "re-encoded": lambda one, random: Footage(one.name, one.frames, one.fps, crf=34),
    "rescaled": lambda one, random: Footage(one.name, resized(one.frames, 0.5), one.fps),
    "cropped": lambda one, random: Footage(one.name, cropped(one.frames, random), one.fps),
    "letterboxed": lambda one, random: Footage(one.name, letterboxed(one.frames), one.fps),
    "sped up": lambda one, random: Footage(one.name, sped_up(one.frames, random), one.fps),
    "mirrored": lambda one, random: Footage(one.name, [frame[:, ::-1] for frame in one.frames], one.fps),
    "with logo": lambda one, random: Footage(one.name, with_logo(one.frames, random), one.fps),
    "all at once": lambda one, random: Footage(
        one.name,
        letterboxed(
            with_logo(resized(cropped([f[:, ::-1] for f in sped_up(one.frames, random)], random), 0.75), random),
        ),
        one.fps,
        crf=30,
    ),
}


def copies(one: Footage) -> dict[str, Footage]:
    """A copy made in each way."""
    return {
        name: make(one, np.random.default_rng([*one.name.encode(), number]))
        for number, (name, make) in enumerate(COPIES.items())
    }


def originals(seeds: range) -> Iterator[Footage]:
    return itertools.chain.from_iterable(footage(seed) for seed in seeds)
