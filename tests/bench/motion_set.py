"""A pinned set of clips whose motion is known, and of still ones that only change: what a motion score must tell apart.

Pictures are drawn from seeds, shown through a moving window, and pass through a real H.264 encoder. Amounts are in the
units of the score: pixels at 320x576 (H x W) between frames 0.5 s apart.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from framemill.data_filters.filters.clip_frames import ClipFrames, small_size
from framemill.platform.vision.video import encode_mp4, iter_frames, probe

WIDTH, HEIGHT, FPS = 640, 360, 24
FRAMES = 25
"""Frames 0, 12 and 24 lie 0.5 s apart: two pairs a clip."""
HALF_S = FPS // 2
UNIT = WIDTH / 576
"""Pixels of these clips in one unit of the score (the same across and down, to within 2 %)."""
MARGIN = 320
CRF = (23, 28)
PICTURES = range(30, 35)
"""Seeds. The gate was set on pictures 0 to 14, and is judged on others."""
MOVING = {
    "pan": (0.5, 1, 2, 4, 8, 16, 32, 64, 96),
    "zoom": (1, 2, 4, 8, 16),
    "shake": (1, 2, 4, 8, 16),
    "local": (8, 16, 32, 64),
}
"""Kinds and amounts: the speed of a pan, of the edge in a zoom and of the object; the spread of a shaking camera."""
STILL = {
    "static": (0,),
    "flicker": (0.05, 0.1, 0.2, 0.4),
    "fade": (0.2, 0.5, 0.8, 0.95),
    "noise": (3, 6, 12, 20),
    "dissolve": (0.5, 1.0),
}
"""Kinds and amounts: relative swing of brightness; share of it lost by the end; deviation of film grain, 8-bit; share
of the picture that another one has taken by the end."""


@dataclass(frozen=True)
class MotionClip:
    kind: str
    amount: float
    seed: int

    @property
    def moving(self) -> bool:
        return self.kind in MOVING

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.amount:g}-{self.seed}"

    def random(self) -> np.random.Generator:
        return np.random.default_rng([self.seed, *self.kind.encode(), round(self.amount * 100)])

    def cameras(self) -> np.ndarray:
        """(FRAMES, 3): how far the picture has moved right and down, pixels, and its enlargement."""
        random = self.random()
        angle, steps = random.uniform(0, 2 * np.pi), np.arange(FRAMES) - FRAMES / 2
        path = np.zeros((FRAMES, 3))
        path[:, 2] = 1
        speed = self.amount * UNIT / HALF_S
        if self.kind == "pan":
            path[:, :2] = steps[:, None] * speed * np.array([np.cos(angle), np.sin(angle)])
        elif self.kind == "zoom":
            path[:, 2] = (1 + speed / (WIDTH / 2)) ** (steps * (1 if self.seed % 2 else -1))
        elif self.kind == "shake":
            path[:, :2] = random.normal(0, self.amount * UNIT / np.sqrt(2), (FRAMES, 2))
        return path

    def object_at(self, frame: int) -> tuple[float, float]:
        """Centre of the moving object, pixels."""
        angle = self.random().uniform(0, 2 * np.pi)
        far = (frame - FRAMES / 2) * self.amount * UNIT / HALF_S
        return WIDTH / 2 + far * np.cos(angle), HEIGHT / 2 + far * np.sin(angle)

    def truth(self) -> float:
        """Mean length of the true flow over pixels and the two pairs."""
        if not self.moving:
            return 0.0
        y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
        path, lengths = self.cameras(), []
        for first, last in ((0, HALF_S), (HALF_S, 2 * HALF_S)):
            if self.kind == "local":
                (x0, y0), (x1, y1) = self.object_at(first), self.object_at(last)
                inside = np.hypot(x - x0, y - y0) <= object_radius(self.seed)
                dx, dy = inside * (x1 - x0), inside * (y1 - y0)
            else:
                grow = path[last, 2] / path[first, 2]
                dx = (x - WIDTH / 2 - path[first, 0]) * grow + WIDTH / 2 + path[last, 0] - x
                dy = (y - HEIGHT / 2 - path[first, 1]) * grow + HEIGHT / 2 + path[last, 1] - y
            lengths.append(np.hypot(dx * 576 / WIDTH, dy * 320 / HEIGHT).mean())
        return float(np.mean(lengths))

    def frames(self) -> Iterator[np.ndarray]:
        """uint8 (HEIGHT, WIDTH, 3) RGB."""
        picture, other = scenery(self.seed), scenery(self.seed + 1000)
        random = np.random.default_rng(self.seed)
        for frame, (right, down, scale) in enumerate(self.cameras()):
            shown = through(picture, right, down, scale)
            done = frame / (FRAMES - 1)
            if self.kind == "local":
                shown = with_object(shown, other, self.object_at(frame), object_radius(self.seed))
            elif self.kind in STILL:
                if self.kind == "fade" and self.seed % 2 == 0:
                    done = 1 - done  # out of the dark
                shown = altered(shown, self.kind, self.amount, done, random, through(other, 0, 0, 1))
            yield np.clip(np.rint(shown), 0, 255).astype(np.uint8)


def altered(
    shown: np.ndarray, kind: str, amount: float, done: float, random: np.random.Generator, other: np.ndarray
) -> np.ndarray:
    """A picture of a still clip of which the share `done` has passed; a dissolve leads to the other picture."""
    if kind == "flicker":
        return shown * (1 + amount * random.uniform(-1, 1))
    if kind == "fade":
        return shown * (1 - amount * done)
    if kind == "noise":
        return shown + random.normal(0, amount, (*shown.shape[:2], 1))
    if kind == "dissolve":
        return shown + amount * done * (other - shown)
    return shown


def object_radius(seed: int) -> float:
    return 50.0 + 10 * (seed % 3)


def scenery(seed: int) -> np.ndarray:
    """A picture larger than the frame, float32 RGB: forms of all sizes, smooth parts and hard edges."""
    random = np.random.default_rng(seed)
    width, height = WIDTH + 2 * MARGIN, HEIGHT + 2 * MARGIN
    picture = np.full((height, width, 3), random.uniform(70, 180, 3), np.float32)
    for cells, strength in ((4, 30), (12, 20), (40, 12), (160, 7)):
        noise = random.normal(0, strength, (cells, cells, 3)).astype(np.float32)
        picture += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(40):
        corner = random.integers(0, [width, height])
        far, colour = corner + random.integers(20, 160, 2), random.uniform(0, 255, 3)
        cv2.rectangle(picture, corner.tolist(), far.tolist(), colour.tolist(), -1)
    return cv2.GaussianBlur(np.clip(picture, 0, 255), (0, 0), 0.8)


def through(picture: np.ndarray, right: float, down: float, scale: float) -> np.ndarray:
    """The window onto a picture that has moved and grown around the window's centre."""
    middle = np.array([picture.shape[1], picture.shape[0]]) / 2
    shift = np.array([WIDTH / 2 + right, HEIGHT / 2 + down]) - scale * middle
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    return cv2.warpAffine(picture, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def with_object(shown: np.ndarray, other: np.ndarray, centre: tuple[float, float], radius: float) -> np.ndarray:
    """A disc cut out of another picture, in front of this one."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    cover = np.clip(radius + 0.5 - np.hypot(x - centre[0], y - centre[1]), 0, 1)[..., None]
    disc = through(other, centre[0] - WIDTH / 2, centre[1] - HEIGHT / 2, 1)
    return shown + cover * (disc - shown)


def motion_set(pictures: Iterable[int] = PICTURES) -> list[MotionClip]:
    """Every kind and amount on each picture."""
    kinds = [(kind, amount) for table in (MOVING, STILL) for kind, amounts in table.items() for amount in amounts]
    return [MotionClip(kind, amount, seed) for (kind, amount), seed in itertools.product(kinds, pictures)]


def encoded(clip: MotionClip, folder: str) -> ClipFrames:
    """A clip as a filter sees it: H.264 and back."""
    return seen(clip.frames(), os.path.join(folder, f"{clip.name}.mp4"), CRF[clip.seed % len(CRF)])


def seen(frames: Iterable[np.ndarray], path: str, crf: int) -> ClipFrames:
    """Frames written to an mp4 there, and read as `curate` reads them."""
    with open(path, "wb") as file:
        file.write(encode_mp4(frames, FPS, crf=crf))
    info = probe(path)
    shown = list(iter_frames(path, size=small_size(info.width, info.height)))
    times = np.array([frame.time_s for frame in shown])
    return ClipFrames(times, [frame.rgb for frame in shown], float(times[-1] + 1 / FPS), 0, info.width, info.height)
