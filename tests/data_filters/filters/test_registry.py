"""Scores against truth that is known because the clip was drawn."""

import cv2
import numpy as np
import pytest

from framemill.data_filters.filters.clip_frames import ClipFrames
from framemill.data_filters.filters.registry import FILTERS, score_columns
from framemill.data_filters.measure.describe import describe, dominant, movement

HEIGHT, WIDTH, FPS = 180, 320, 16


def texture(seed: int = 0) -> np.ndarray:
    """A random picture larger than the frame, with large forms and small ones as real pictures have."""
    random = np.random.default_rng(seed)
    size = (WIDTH + 400, HEIGHT + 400)
    forms = [
        cv2.resize(random.normal(0, 25, (cells, cells, 3)), size, interpolation=cv2.INTER_CUBIC)
        for cells in (6, 20, 60)
    ]
    return np.clip(np.sum(forms, axis=0) + 128, 0, 255).astype(np.uint8)


def pan(dx: float, dy: float, frames: int = 33, fps: float = FPS, portrait: bool = False) -> ClipFrames:
    """A window whose picture moves by (dx, dy) pixels a frame."""
    picture = texture()
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


def flat(*colours: tuple[int, int, int]) -> ClipFrames:
    """One second of pictures striped in these colours from top to bottom."""
    rows = [np.full((HEIGHT // len(colours), WIDTH, 3), colour, np.uint8) for colour in colours]
    return ClipFrames(np.arange(FPS) / FPS, [np.vstack(rows)] * FPS, 1.0, 0, WIDTH, HEIGHT)


@pytest.mark.parametrize(("dx", "dy"), [(0.25, 0), (1, 0), (-2, 0), (0, 1), (0, -2), (1.5, 1.5), (4, 0)])
def test_motion_is_the_true_flow(dx, dy):
    scores = FILTERS["motion"].load().score(pan(dx, dy))
    true_x, true_y = dx * FPS / 2 * 576 / WIDTH, dy * FPS / 2 * 320 / HEIGHT
    assert scores["motion"] == pytest.approx(np.hypot(true_x, true_y), rel=0.15)
    assert (scores["motion_x"], scores["motion_y"]) == pytest.approx((true_x, true_y), rel=0.2, abs=0.4)


def test_motion_counts_per_half_second_whatever_the_rate_and_shape():
    motion = FILTERS["motion"].load()
    score = motion.score(pan(1, 0))["motion"]
    assert motion.score(pan(1, 0, frames=4))["motion"] == pytest.approx(score, rel=0.1), "shorter than half a second"
    assert motion.score(pan(8, 0, frames=6, fps=2))["motion"] == pytest.approx(score, rel=0.15), "two frames a second"
    assert motion.score(pan(0, 1, portrait=True))["motion"] == pytest.approx(score, rel=0.1), "portrait"
    assert motion.score(pan(0, 0))["motion"] < 0.05
    assert motion.score(pan(0, 0, frames=1))["motion"] == 0


def test_saturation_is_the_mean_of_s():
    assert FILTERS["saturation"].load().score(flat((255, 0, 0), (128, 128, 128)))["saturation"] == pytest.approx(127.5)


def test_technical_falls_with_blur_darkness_and_flatness():
    technical = FILTERS["technical"].load()
    good = pan(1, 0)
    noise = np.random.default_rng(1).integers(-20, 20, (HEIGHT, WIDTH, 1))
    sharp = [np.clip(frame + noise, 0, 255).astype(np.uint8) for frame in good.frames]

    def score(frames: list[np.ndarray]) -> float:
        return technical.score(ClipFrames(good.times, frames, good.end_s, 0, WIDTH, HEIGHT))["technical"]

    best = score(sharp)
    assert best > score([cv2.GaussianBlur(frame, (0, 0), 4) for frame in sharp])
    assert best > 2 * score([(frame * 0.05).astype(np.uint8) for frame in sharp])
    assert best > score([(frame * 0.2 + 100).astype(np.uint8) for frame in sharp])
    assert 0 <= score([np.zeros_like(frame) for frame in sharp]) < 0.05


def test_every_filter_fills_the_columns_it_names():
    clip = pan(1, 0, frames=8)
    for name, entry in FILTERS.items():
        assert set(entry.load().score(clip)) == set(entry.columns) == set(score_columns([name]))


def test_samples_are_the_frames_nearest_to_each_half_second():
    clip = ClipFrames(np.array([10.0, 10.2, 10.45, 10.9, 11.1]), [np.zeros((2, 2, 3), np.uint8)] * 5, 11.3, 0, 2, 2)
    assert clip.every(0.5) == [0, 2, 3]
    assert clip.seconds == pytest.approx(1.3)


@pytest.mark.parametrize(
    ("colour", "name"),
    [
        ((220, 30, 30), "red"),
        ((240, 150, 20), "orange"),
        ((120, 70, 20), "brown"),
        ((240, 230, 40), "yellow"),
        ((40, 160, 60), "green"),
        ((40, 170, 180), "teal"),
        ((40, 70, 220), "blue"),
        ((140, 60, 200), "purple"),
        ((240, 60, 180), "pink"),
        ((128, 128, 128), "grey"),
        ((250, 250, 250), "white"),
        ((5, 5, 5), "black"),
    ],
)
def test_colours_have_their_names(colour, name):
    assert dominant(np.full((8, 8, 3), colour, np.uint8)) == name


def test_a_description_says_what_there_is():
    motion = {"motion": 30.0, "motion_x": -28.0, "motion_y": 3.0, "sharpness": 0.9}
    assert describe(flat((40, 70, 220), (40, 160, 60)), motion) == (
        "A softly lit, finely detailed wide picture, blue above and green below; it moves steadily to the left."
    )
    assert movement({"motion": 30.0, "motion_x": 2.0, "motion_y": -25.0}) == "moves steadily up"
    assert movement({"motion": 30.0, "motion_x": 2.0, "motion_y": -3.0}) == "moves steadily"
    assert movement({"motion": 0.1, "motion_x": 0.1, "motion_y": 0.0}) == "stays still"
