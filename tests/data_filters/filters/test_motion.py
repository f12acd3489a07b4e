"""The motion score keeps its meaning on encoded clips of known flow, and on real ones (more: bench_motion.py)."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from framemill.data_filters.filters.motion import Motion

BENCH = Path(__file__).resolve().parents[1] / "bench"
SEED = 20
MOVING = [("pan", 1), ("pan", 8), ("pan", 64), ("zoom", 8), ("shake", 4), ("local", 32)]
STILL = [("static", 0), ("flicker", 0.4), ("fade", 0.8), ("noise", 12), ("dissolve", 0.5)]
KEPT = 0.25
"""The least motion that is kept by default."""


@pytest.fixture(scope="module")
def bench():
    """The bench's modules by name."""
    names = ("motion_set", "motion_footage", "bench_motion")
    sys.path.insert(0, str(BENCH))
    yield {name: importlib.import_module(name) for name in names}
    sys.path.remove(str(BENCH))
    for name in names:
        del sys.modules[name]


def test_movement_is_told_from_flicker_fades_and_grain(bench, tmp_path):
    motion, known = Motion(), bench["motion_set"]
    clips = [known.MotionClip(kind, amount, SEED) for kind, amount in MOVING + STILL]
    scores = np.array([motion.score(known.encoded(clip, str(tmp_path)))["motion"] for clip in clips])
    truth = np.array([clip.truth() for clip in clips])
    moves = truth > 0
    assert scores[moves].min() > 0.5 > 0.1 > scores[~moves].max()
    pans = np.array([clip.kind == "pan" for clip in clips])
    assert scores[pans] == pytest.approx(truth[pans], rel=0.15)
    assert bench["bench_motion"].rank_correlation(scores[moves], truth[moves]) >= 0.9


def test_a_camera_faster_than_the_flow_can_follow_is_found(bench, tmp_path):
    known = bench["motion_set"]
    motion, ungated = Motion(), bench["bench_motion"].Ungated()
    for seed in (SEED, SEED + 2):
        clip = known.MotionClip("pan", 96, seed)
        shown = known.encoded(clip, str(tmp_path))
        assert ungated.score(shown)["motion"] < 0.6 * clip.truth()
        assert motion.score(shown)["motion"] == pytest.approx(clip.truth(), rel=0.15)


def test_frames_too_near_to_judge_are_taken_at_their_word(bench):
    """Three frames of a real clip change little more than their coding noise does, and are no less a moving clip."""
    random = np.random.default_rng(0)
    one, other = random.integers(0, 255, (2, 180, 320), np.uint8)
    ungated = bench["bench_motion"].Ungated()
    assert Motion().pair(one, other, 0.5)[0] == 0
    assert Motion().pair(one, other, 0.1)[0] == pytest.approx(ungated.pair(one, other, 0.1)[0], rel=0.25)


def test_real_clips_keep_their_motion(shared_videos, bench):
    motion, ungated = Motion(), bench["bench_motion"].Ungated()
    clips = bench["motion_footage"].real_clips(shared_videos)
    scores = np.array([(ungated.score(clip)["motion"], motion.score(clip)["motion"]) for clip in clips.values()])
    was, is_now = scores[scores[:, 0] >= 1].T  # below a pixel are stills in the coding noise
    assert len(was) >= 20
    assert is_now.min() >= KEPT, "none is called still"
    assert np.median(is_now / was) >= 0.98
    assert (is_now / was >= 0.5).mean() >= 0.95, "all but those that hold a dissolve"


def test_real_frames_held_still_do_not_move(shared_videos, bench, tmp_path):
    footage = bench["motion_footage"]
    held = [still for still in footage.held_frames(shared_videos) if (still.kind, still.amount) in STILL][::3]
    assert {still.kind for still in held} == {kind for kind, _ in STILL}
    scores = np.array([Motion().score(footage.encoded_still(still, str(tmp_path)))["motion"] for still in held])
    assert (scores < KEPT).mean() >= 0.95 and np.median(scores) < 0.01
