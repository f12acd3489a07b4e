"""The motion score keeps its meaning on encoded clips of known flow (all of them: tests/bench/bench_motion.py)."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from framemill.data_filters.filters.motion import Motion

BENCH = Path(__file__).resolve().parents[1] / "bench" / "motion_set.py"
SEED = 20
MOVING = [("pan", 1), ("pan", 8), ("pan", 64), ("zoom", 8), ("shake", 4), ("local", 32)]
STILL = [("static", 0), ("flicker", 0.4), ("fade", 0.8), ("noise", 12), ("dissolve", 0.5)]


@pytest.fixture(scope="module")
def bench():
    import sys

    spec = importlib.util.spec_from_file_location("motion_set", BENCH)
    module = importlib.util.module_from_spec(spec)
    sys.modules["motion_set"] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    yield module
    del sys.modules["motion_set"]


def test_movement_is_told_from_flicker_fades_and_grain(bench, tmp_path):
    motion = Motion()
    clips = [bench.MotionClip(kind, amount, SEED) for kind, amount in MOVING + STILL]
    scores = np.array([motion.score(bench.encoded(clip, str(tmp_path)))["motion"] for clip in clips])
    truth = np.array([clip.truth() for clip in clips])
    moves = truth > 0
    assert scores[moves].min() > 0.5 > 0.1 > scores[~moves].max()
    pans = np.array([clip.kind == "pan" for clip in clips])
    assert scores[pans] == pytest.approx(truth[pans], rel=0.15)
    order = np.argsort(truth[moves])
    ranks = np.corrcoef(np.argsort(order), np.argsort(np.argsort(scores[moves])))[0, 1]
    assert ranks >= 0.9
