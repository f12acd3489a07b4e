"""The motion score keeps its meaning on encoded clips of known flow, and on real ones (more: bench_motion.py)."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from framemill.data_filters.filters.clip_frames import ClipFrames, small_size
from framemill.data_filters.filters.motion import Motion
from framemill.data_filters.filters.registry import load_filter
from tests.bench.bench_motion import Ungated, rank_correlation
from tests.bench.motion_footage import encoded_still, held_frames, real_clips
from tests.bench.motion_set import MotionClip, encoded
from tests.support.drawn_clips import FPS, HEIGHT, WIDTH, pan

SEED = 20

MOVING = [("pan", 1), ("pan", 8), ("pan", 64), ("zoom", 8), ("shake", 4), ("local", 32)]

STILL = [("static", 0), ("flicker", 0.4), ("fade", 0.8), ("noise", 12), ("dissolve", 0.5)]

KEPT = 0.25
"""The least motion that is kept by default."""


def test_movement_is_told_from_flicker_fades_and_grain(tmp_path: Path) -> None:
    motion = Motion()
    clips = [MotionClip(kind, amount, SEED) for kind, amount in MOVING + STILL]
    scores = np.array([motion.score(encoded(clip, str(tmp_path)))["motion"] for clip in clips])
    truth = np.array([clip.truth() for clip in clips])
    moves = truth > 0
    assert scores[moves].min() > 0.5 > 0.1 > scores[~moves].max()
    pans = np.array([clip.kind == "pan" for clip in clips])
    assert scores[pans] == pytest.approx(truth[pans], rel=0.15)
    assert rank_correlation(scores[moves], truth[moves]) >= 0.9


def test_a_camera_faster_than_the_flow_can_follow_is_found(tmp_path: Path) -> None:
    motion, ungated = Motion(), Ungated()
    for seed in (SEED, SEED + 2):
        clip = MotionClip("pan", 96, seed)
        shown = encoded(clip, str(tmp_path))
        assert ungated.score(shown)["motion"] < 0.6 * clip.truth()
        assert motion.score(shown)["motion"] == pytest.approx(clip.truth(), rel=0.15)


def test_frames_too_near_to_judge_are_taken_at_their_word() -> None:
    """Three frames of a real clip change little more than their coding noise does, and are no less a moving clip."""
    random = np.random.default_rng(0)
    one, other = random.integers(0, 255, (2, 180, 320), np.uint8)
    ungated = Ungated()
    assert Motion().pair(one, other, 0.5)[0] == 0
    assert Motion().pair(one, other, 0.1)[0] == pytest.approx(ungated.pair(one, other, 0.1)[0], rel=0.25)


def test_real_clips_keep_their_motion(shared_videos: Path) -> None:
    motion, ungated = Motion(), Ungated()
    clips = real_clips(shared_videos)
    scores = np.array([(ungated.score(clip)["motion"], motion.score(clip)["motion"]) for clip in clips.values()])
    was, is_now = scores[scores[:, 0] >= 1].T  # below a pixel are stills in the coding noise
    assert len(was) >= 20
    assert is_now.min() >= KEPT, "none is called still"
    assert np.median(is_now / was) >= 0.98
    assert (is_now / was >= 0.5).mean() >= 0.95, "all but those that hold a dissolve"


@pytest.mark.slow
def test_real_frames_held_still_do_not_move(shared_videos: Path, tmp_path: Path) -> None:
    stills = [still for still in held_frames(shared_videos) if (still.kind, still.amount) in STILL][::3]
    assert {still.kind for still in stills} == {kind for kind, _ in STILL}
    scores = np.array([Motion().score(encoded_still(still, str(tmp_path)))["motion"] for still in stills])
    assert (scores < KEPT).mean() >= 0.95 and np.median(scores) < 0.01


@pytest.mark.parametrize(("dx", "dy"), [(0.25, 0), (1, 0), (-2, 0), (0, 1), (0, -2), (1.5, 1.5), (4, 0)])
def test_motion_is_the_true_flow(dx: float, dy: float) -> None:
    scores = load_filter("motion").score(pan(dx, dy))
    true_x, true_y = dx * FPS / 2 * 576 / WIDTH, dy * FPS / 2 * 320 / HEIGHT
    assert scores["motion"] == pytest.approx(np.hypot(true_x, true_y), rel=0.15)
    assert (scores["motion_x"], scores["motion_y"]) == pytest.approx((true_x, true_y), rel=0.2, abs=0.4)


def test_motion_counts_per_half_second_whatever_the_rate_and_shape() -> None:
    motion = load_filter("motion")
    score = motion.score(pan(1, 0))["motion"]
    assert motion.score(pan(1, 0, frames=4))["motion"] == pytest.approx(score, rel=0.1), "shorter than half a second"
    assert motion.score(pan(8, 0, frames=6, fps=2))["motion"] == pytest.approx(score, rel=0.15), "two frames a second"
    assert motion.score(pan(0, 1, portrait=True))["motion"] == pytest.approx(score, rel=0.1), "portrait"
    assert motion.score(pan(0, 0))["motion"] < 0.05
    assert motion.score(pan(0, 0, frames=1))["motion"] == 0


@pytest.mark.parametrize("height", [4, 36, 64, 100, 150, 190])
def test_wide_strips_have_their_motion(height: int) -> None:
    """OpenCV's DIS crashes, or returns NaN, for lumas of few rows."""
    random = np.random.default_rng(0)
    texture = cv2.GaussianBlur(random.integers(0, 255, (400, 2400, 3)).astype(np.uint8), (0, 0), 12)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)
    size = small_size(1920, height)
    frames = [
        cv2.resize(texture[100 : 100 + height, 12 * k : 12 * k + 1920], size, interpolation=cv2.INTER_AREA)
        for k in range(9)
    ]
    clip = ClipFrames(np.arange(9) / 8, frames, 9 / 8, 0, 1920, height)
    scores = Motion().score(clip)
    assert all(np.isfinite(value) for value in scores.values())
    if size[1] * 6 == height:  # not stretched
        assert scores["motion_x"] == pytest.approx(-12 * 4 * 576 / 1920, rel=0.25)
