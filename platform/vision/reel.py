"""A rendered sample reel with ground truth: scenes with known cuts, colours and speeds, some of which must be rejected.

The demo curates the reel, and tests compare measurements with the ground truth. The reel depends only on the seed.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import cv2
import numpy as np

from framemill.platform import storage
from framemill.platform.vision.video import encode_mp4

WIDTH, HEIGHT = 320, 180
FPS = 16
SECONDS = 2.5
COLOURS = {
    "red": (190, 70, 60),
    "green": (80, 160, 80),
    "blue": (70, 95, 190),
    "yellow": (200, 180, 80),
    "purple": (140, 80, 170),
    "grey": (130, 130, 130),
}
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
SPEEDS = {"slowly": 1, "quickly": 4}
"""Speed of each pace in pixels per frame, at WIDTH x HEIGHT."""
MARGIN = 200
"""Background on each side of the centred window, pixels; the window moves within it."""


def _dark(picture: np.ndarray) -> np.ndarray:
    """Returns an image at 4 % of its brightness."""
    return (picture * 0.04).astype(np.uint8)


def _vivid(picture: np.ndarray) -> np.ndarray:
    """Returns an image with every colour at full saturation."""
    hsv = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)
    hsv[..., 1] = 255
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


_LOOKS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "plain": lambda picture: picture,
    "dark": _dark,
    "vivid": _vivid,
}


@dataclass(frozen=True)
class Scene:
    """One shot: a disc or square at the centre of a textured background, filmed by a moving camera."""

    background: str
    colour: str
    shape: str = "circle"
    direction: str = "left"
    pace: str = "slowly"
    look: str = "plain"

    def caption(self) -> str:
        """Returns a sentence that describes the scene."""
        towards = {"left": "to the left", "right": "to the right"}.get(self.direction, self.direction)
        motion = "stays still" if self.pace == "still" else f"moves {self.pace} {towards}"
        return f"A {self.colour} {self.shape} on a {self.background} background; the picture {motion}."

    def motion(self) -> float:
        """Returns the true motion in the units of the filter `motion`: pixels at 320x576 (H x W) per 0.5 s."""
        dx, dy = (axis * SPEEDS.get(self.pace, 0) * FPS / 2 for axis in DIRECTIONS[self.direction])
        return float(np.hypot(dx * 576 / WIDTH, dy * 320 / HEIGHT))


def render_scene(scene: Scene, seed: int, seconds: float = SECONDS) -> Iterator[np.ndarray]:
    """Yields the frames of a scene, uint8 (HEIGHT, WIDTH, 3) RGB, from a window that moves over a larger image."""
    random = np.random.default_rng(seed)
    canvas = np.full((HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN, 3), COLOURS[scene.background], np.float32)
    for cells in (8, 24, 72):
        noise = random.normal(0, 14, (cells, cells)).astype(np.float32)
        canvas += cv2.resize(noise, canvas.shape[1::-1], interpolation=cv2.INTER_CUBIC)[..., None]
    centre, radius = (canvas.shape[1] // 2, canvas.shape[0] // 2), HEIGHT // 4
    if scene.shape == "circle":
        cv2.circle(canvas, centre, radius, COLOURS[scene.colour], -1, cv2.LINE_AA)
    else:
        corner = (centre[0] - radius, centre[1] - radius)
        cv2.rectangle(canvas, corner, (centre[0] + radius, centre[1] + radius), COLOURS[scene.colour], -1)
    picture = _LOOKS[scene.look](np.clip(canvas, 0, 255).astype(np.uint8))
    dx, dy = (axis * SPEEDS.get(scene.pace, 0) for axis in DIRECTIONS[scene.direction])
    frames = round(seconds * FPS)
    for frame in range(frames):
        # The window moves opposite to the direction, so the image moves in it; the middle frame is centred.
        x, y = MARGIN - dx * (frame - frames // 2), MARGIN - dy * (frame - frames // 2)
        yield picture[y : y + HEIGHT, x : x + WIDTH]


def random_scenes(count: int, seed: int) -> list[Scene]:
    """Returns `count` distinct scenes, in an order that depends on the seed."""
    every = [
        Scene(background, colour, shape, direction, pace)
        for background, colour, shape, direction, pace in itertools.product(
            COLOURS, COLOURS, ("circle", "square"), DIRECTIONS, SPEEDS
        )
        if background != colour
    ]
    order = np.random.default_rng(seed).permutation(len(every))
    return [every[i] for i in order[:count]]


def render_reel(folder: str, *, shots: int = 96, seed: int = 0) -> dict[str, list[dict]]:
    """Writes the reel and returns its ground truth: mp4s, caption sidecars for two of three single shots, truth.json.

    Args:
        folder: output folder.
        shots: number of files with a single scene. The reel also has two files of six scenes each, a static file, a
            dark file, an over-saturated file, a copy of a file, and a truncated file.
        seed: random seed of the scenes.

    Returns:
        The scenes of each file with start time (seconds) and motion. `truth.json` has the same content and is written
        last, so a reel with this file is complete.
    """
    truth: dict[str, list[dict]] = {}

    def write(name: str, parts: list[Scene], *, number: int, caption: bool = False) -> bytes:
        frames = (frame for i, scene in enumerate(parts) for frame in render_scene(scene, seed + 100 * number + i))
        data = encode_mp4(frames, FPS)
        storage.write_atomic(os.path.join(folder, name), data)
        if caption:
            storage.write_atomic(os.path.join(folder, name[:-4] + ".txt"), parts[0].caption().encode())
        truth[name] = [{**asdict(s), "start_s": i * SECONDS, "motion": s.motion()} for i, s in enumerate(parts)]
        return data

    singles = random_scenes(shots + 12, seed)
    for number, scene in enumerate(singles[:shots]):
        data = write(f"shot-{number:02d}.mp4", [scene], number=number, caption=number % 3 != 2)
    write("scenes-a.mp4", singles[shots : shots + 6], number=shots)
    write("scenes-b.mp4", singles[shots + 6 :], number=shots + 1)
    write("static.mp4", [Scene("green", "grey", pace="still")], number=shots + 2)
    write("dark.mp4", [Scene("blue", "purple", pace="quickly", look="dark")], number=shots + 3)
    write("saturated.mp4", [Scene("red", "yellow", pace="quickly", look="vivid")], number=shots + 4)
    storage.write_atomic(os.path.join(folder, "copy.mp4"), data)
    storage.write_atomic(os.path.join(folder, "broken.mp4"), data[: len(data) // 2])
    storage.write_atomic(os.path.join(folder, "truth.json"), json.dumps(truth, indent=1).encode())
    return truth
