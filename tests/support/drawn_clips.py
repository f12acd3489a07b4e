"""Clips that are drawn in memory, for filters and hashes whose true value is then known."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from framemill.data_filters.filters.clip_frames import ClipFrames
from framemill.data_filters.filters.registry import load_filter
from framemill.platform.vision.reel import Scene, render_scene
from framemill.platform.vision.video import encode_mp4, iter_frames

HEIGHT, WIDTH, FPS = 180, 320, 16


def clip_of(frames: list[np.ndarray], fps: float = FPS) -> ClipFrames:
    """A clip of these frames (H, W, 3) at a constant rate."""
    times = np.arange(len(frames)) / fps
    return ClipFrames(times, frames, len(frames) / fps, 0, frames[0].shape[1], frames[0].shape[0])


def score(name: str, frames: list[np.ndarray]) -> dict[str, float]:
    """What a filter scores for a clip of these frames."""
    return load_filter(name).score(clip_of(frames))


def moving_scene(seed: int = 0, seconds: float = 2.0, pace: str = "slowly") -> list[np.ndarray]:
    """The frames of a disc that moves over a grey ground."""
    scene = Scene(("red", "green", "blue", "yellow")[seed % 4], "grey", pace=pace)
    return [frame.copy() for frame in render_scene(scene, seed, seconds)]


def through_codec(
    folder: Path, frames: list[np.ndarray], crf: int = 23, size: tuple[int, int] = (WIDTH, HEIGHT)
) -> list[np.ndarray]:
    """The frames as they are decoded again from an H.264 file, at `size` (width, height)."""
    (folder / "x.mp4").write_bytes(encode_mp4(iter(frames), FPS, crf=crf))
    return [frame.rgb for frame in iter_frames(str(folder / "x.mp4"), size=size)]


def with_bars(frames: list[np.ndarray], above: int, beside: int, level: int = 0) -> list[np.ndarray]:
    """The frames made smaller, with bars `above` rows high above and below, and `beside` columns wide at both sides."""
    size = (WIDTH - 2 * beside, HEIGHT - 2 * above)
    edges = (above, above, beside, beside)
    return [
        cv2.copyMakeBorder(cv2.resize(frame, size), *edges, cv2.BORDER_CONSTANT, value=(level,) * 3) for frame in frames
    ]


def large_texture(seed: int = 0) -> np.ndarray:
    """A random picture 400 pixels larger than the frame each way, with large forms and small ones."""
    random = np.random.default_rng(seed)
    size = (WIDTH + 400, HEIGHT + 400)
    forms = [
        cv2.resize(random.normal(0, 25, (cells, cells, 3)), size, interpolation=cv2.INTER_CUBIC)
        for cells in (6, 20, 60)
    ]
    return np.clip(np.sum(forms, axis=0) + 128, 0, 255).astype(np.uint8)


def pan(dx: float, dy: float, frames: int = 33, fps: float = FPS, portrait: bool = False) -> ClipFrames:
    """A clip whose picture moves by (dx, dy) pixels a frame."""
    picture = large_texture()
    if portrait:
        picture = np.ascontiguousarray(picture.transpose(1, 0, 2))
    height, width = (WIDTH, HEIGHT) if portrait else (HEIGHT, WIDTH)
    shots = [
        cv2.getRectSubPix(
            picture,
            (width, height),
            (picture.shape[1] / 2 - dx * (i - frames / 2), picture.shape[0] / 2 - dy * (i - frames / 2)),
        )
        for i in range(frames)
    ]
    times = np.arange(frames) / fps
    return ClipFrames(times, shots, float(times[-1] + 1 / fps), 0, width, height)


def stripes(*colours: tuple[int, int, int]) -> ClipFrames:
    """One second of a picture striped in these colours from top to bottom."""
    rows = [np.full((HEIGHT // len(colours), WIDTH, 3), colour, np.uint8) for colour in colours]
    return ClipFrames(np.arange(FPS) / FPS, [np.vstack(rows)] * FPS, 1.0, 0, WIDTH, HEIGHT)
