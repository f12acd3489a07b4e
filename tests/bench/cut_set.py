"""A pinned set of clips with known scene changes, and of what only looks like one: drawn, and encoded as H.264."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from framemill.platform.vision.video import encode_mp4

WIDTH, HEIGHT, FPS = 480, 270, 24.0
FRAMES = 84
CRF = (20, 26, 32)
SEEDS = range(100, 106)
"""Reported on. Parameters were set on seeds 0 to 11."""
CHANGES = {
    "cut, unlike": (0,),
    "cut, like": (0,),
    "cut, dark": (0,),
    "cut, moving": (6, 12, 25),
    "fade through black": (0.3, 0.6, 1.0, 1.5),
    "fade through white": (0.3, 0.6, 1.0, 1.5),
    "dissolve": (0.4, 0.8, 1.5),
}
"""Kinds and amounts: seconds; of cuts between moving shots, pixels a frame. Dark ones are between like pictures."""
DECOYS = {"flash": (1, 2, 4, 6), "pan": (8, 20, 45), "shake": (3, 8, 16), "object": (0.3, 0.8), "zoom": (1.02, 1.05)}
"""Kinds and amounts: frames; pixels a frame; deviation in pixels; seconds to cross the picture; growth a frame."""


@dataclass(frozen=True)
class CutClip:
    kind: str
    amount: float
    seed: int

    @property
    def name(self) -> str:
        return f"{self.kind.replace(', ', '-').replace(' ', '-')}-{self.amount:g}-{self.seed}"

    def random(self) -> np.random.Generator:
        return np.random.default_rng([self.seed, *self.kind.encode(), round(self.amount * 100)])

    @property
    def change(self) -> tuple[int, int] | None:
        """The first frame of the change and the first after it; a hard cut has the same for both; None: no change."""
        if self.kind not in CHANGES:
            return None
        length = 0 if self.kind.startswith("cut") else round(self.amount * FPS)
        first = (FRAMES - length) // 2 + int(self.random().integers(-6, 7))
        return first, first + length

    def frames(self) -> Iterator[np.ndarray]:
        """uint8 (HEIGHT, WIDTH, 3) RGB."""
        before = Shot(self, 0)
        after = Shot(self, 1, like=before if self.kind in ("cut, like", "cut, dark") else None)
        change = self.change
        random = self.random()
        middle, decay = FRAMES // 2, random.random() < 0.5
        white = 255.0 if random.random() < 0.5 else 0.0
        for index in range(FRAMES):
            if change is None:
                shown = before.frame(index)
                if self.kind == "flash" and 0 <= index - middle < self.amount:
                    strength = (1 - (index - middle) / self.amount if decay else 1) * (0.95 if white else 0.6)
                    shown = shown + strength * (255 - shown)
                elif self.kind == "object":
                    shown = with_object(shown, after.frame(index), (index - middle) / (self.amount * FPS))
            elif index < change[0] or index >= change[1]:
                shown = (before if index < change[0] else after).frame(index)
            else:
                done = (index - change[0] + 0.5) / (change[1] - change[0])
                shown = mixed(self.kind, before.frame(index), after.frame(index), done)
            yield np.clip(np.rint(shown + before.grain(index)), 0, 255).astype(np.uint8)


class Shot:
    """A picture under a moving camera: a slow one, or that of the clip's kind."""

    def __init__(self, clip: CutClip, number: int, like: Shot | None = None) -> None:
        random = np.random.default_rng([clip.seed, number, *clip.kind.encode(), round(clip.amount * 100)])
        self.ground = like.ground if like else random.uniform(50, 200, 3)
        self.picture = scenery(random, self.ground) * (0.3 if clip.kind == "cut, dark" else 1)
        angle, speed = random.uniform(0, 2 * np.pi), random.uniform(0, 3)
        self.zoom = 1 + random.uniform(-0.002, 0.002)
        self.shaking = np.zeros((FRAMES, 2))
        if clip.kind in ("pan", "cut, moving"):
            angle, speed = angle if clip.seed % 2 else 0.0, clip.amount
        elif clip.kind == "shake":
            self.shaking = random.normal(0, clip.amount, (FRAMES, 2))
        elif clip.kind == "zoom":
            self.zoom = clip.amount
        self.step = speed * np.array([np.cos(angle), np.sin(angle)])
        self.noise = random.normal(0, random.uniform(0, 4), (4, HEIGHT, WIDTH, 1))

    def frame(self, index: int) -> np.ndarray:
        """float32 (HEIGHT, WIDTH, 3)."""
        scale = self.zoom ** (index - FRAMES / 2 if self.zoom < 1.01 else index)
        middle = np.array([self.picture.shape[1], self.picture.shape[0]]) / 2
        shift = np.array([WIDTH, HEIGHT]) / 2 + (index - FRAMES / 2) * self.step + self.shaking[index] - scale * middle
        matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
        return cv2.warpAffine(
            self.picture, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )

    def grain(self, index: int) -> np.ndarray:
        return self.noise[index % len(self.noise)]


def scenery(random: np.random.Generator, ground: np.ndarray) -> np.ndarray:
    """A picture larger than the frame, float32 RGB: forms of all sizes, smooth parts and hard edges."""
    width, height = 3 * WIDTH, 3 * HEIGHT
    picture = np.full((height, width, 3), ground, np.float32)
    for cells, strength in ((4, 22), (12, 22), (40, 12), (160, 7)):
        noise = random.normal(0, strength, (cells, cells, 1)) + random.normal(0, strength / 3, (cells, cells, 3))
        picture += cv2.resize(noise.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(int(random.integers(10, 80))):
        corner = random.integers(0, [width, height])
        far, colour = corner + random.integers(20, 200, 2), np.clip(ground + random.normal(0, 50, 3), 0, 255)
        cv2.rectangle(picture, corner.tolist(), far.tolist(), colour.tolist(), -1)
    return np.clip(picture, 0, 255)


def mixed(kind: str, before: np.ndarray, after: np.ndarray, done: float) -> np.ndarray:
    """The picture when so much of a change is done, 0..1."""
    if kind == "dissolve":
        return before + done * (after - before)
    blank = 0.0 if kind == "fade through black" else 255.0
    # A quarter of a fade's length is blank, as editors leave it.
    left = np.clip((abs(2 * done - 1) - 0.25) / 0.75, 0, 1)
    return blank + left * ((before if done < 0.5 else after) - blank)


def with_object(shown: np.ndarray, other: np.ndarray, way: float) -> np.ndarray:
    """Something as large as the picture that slides through it, in front: wholly there where `way` is 0."""
    left = round(way * WIDTH)
    shown = shown.copy()
    if -WIDTH < left < WIDTH:
        shown[:, max(0, left) : WIDTH + min(0, left)] = other[:, max(0, -left) : WIDTH - max(0, left)]
    return shown


def cut_set(seeds: range = SEEDS) -> list[CutClip]:
    """Every kind and amount on each seed; more of the hard cuts, that have one amount."""
    return [
        CutClip(kind, amount, seed + 1000 * turn)
        for table in (CHANGES, DECOYS)
        for kind, amounts in table.items()
        for amount in amounts
        for turn in range(3 if kind.startswith("cut") else 1)
        for seed in seeds
    ]


def write(clip: CutClip, folder: str) -> str:
    """Encodes a clip; gives its path."""
    path = os.path.join(folder, f"{clip.name}.mp4")
    with open(path, "wb") as file:
        file.write(encode_mp4(clip.frames(), FPS, crf=CRF[clip.seed % len(CRF)]))
    return path
