"""The motion score against the truth of a pinned set of clips, beside Farneback at the same size; and on real clips,
beside the same flow ungated, and on real frames held still.

usage: python tests/bench/bench_motion.py
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from framemill.data_filters.filters.clip_frames import ClipFrames
from framemill.data_filters.filters.motion import Motion

sys.path.append(str(Path(__file__).resolve().parents[2]))  # `tests`, when this file is run by its path

from tests.bench.motion_footage import encoded_still, held_frames, real_clips
from tests.bench.motion_set import MotionClip, encoded, motion_set

KEPT = 0.25
"""The least motion that `curate` keeps by default."""


class Ungated(Motion):
    """The same flow, taken at its word."""

    def pair(self, earlier: np.ndarray, later: np.ndarray, seconds: float) -> np.ndarray:
        height, width = earlier.shape
        wide, high = (576, 320) if width >= height else (320, 576)
        flow = self.dense(earlier, later) * np.array([wide / width, high / height], np.float32)
        means = [np.sqrt(np.square(flow).sum(axis=-1)).mean(), flow[..., 0].mean(), flow[..., 1].mean()]
        return np.array(means) * (0.5 / seconds)

    def dense(self, earlier: np.ndarray, later: np.ndarray) -> np.ndarray:
        no_guess: Any = None
        return self.flow.calc(earlier, later, no_guess)


class Farneback(Ungated):
    """Farneback's flow with the parameters of OpenCV's example."""

    def dense(self, earlier: np.ndarray, later: np.ndarray) -> np.ndarray:
        nothing = np.zeros((*earlier.shape, 2), np.float32)
        return cv2.calcOpticalFlowFarneback(earlier, later, nothing, 0.5, 3, 15, 3, 5, 1.2, 0)


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks, ties sharing their mean."""
    return np.array([(values < value).sum() + ((values == value).sum() - 1) / 2 for value in values])


def rank_correlation(scores: np.ndarray, truth: np.ndarray) -> float:
    """Spearman's."""
    return float(np.corrcoef(ranks(scores), ranks(truth))[0, 1])


def area_under_curve(moving: np.ndarray, still: np.ndarray) -> float:
    """The chance that a moving clip scores above a still one; a tie is half a chance."""
    return float((moving[:, None] > still).mean() + 0.5 * (moving[:, None] == still).mean())


def cpu_seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def accuracy(clips: list[MotionClip], truth: np.ndarray, scores: np.ndarray) -> str:
    moves = np.array([clip.moving for clip in clips])
    pans = np.array([clip.kind == "pan" and clip.amount >= 1 for clip in clips])
    return (
        f"rank correlation {rank_correlation(scores[moves], truth[moves]):.3f} (moving), "
        f"{rank_correlation(scores, truth):.3f} (all); AUC {area_under_curve(scores[moves], scores[~moves]):.3f}; "
        f"score/truth on pans of 1 px and more: median {np.median(scores[pans] / truth[pans]):.3f}"
    )


def main() -> None:
    cv2.setNumThreads(1)
    on_known_flow()
    on_real_clips()
    on_held_frames()


def on_known_flow() -> None:
    clips = motion_set()
    with tempfile.TemporaryDirectory() as folder:
        shown: list[ClipFrames] = [encoded(clip, folder) for clip in clips]
    truth = np.array([clip.truth() for clip in clips])
    seconds, scores = {}, {}
    for name, method in (("ours", Motion()), ("Farneback", Farneback())):
        motions: list[float] = []
        seconds[name] = cpu_seconds(lambda m=method, f=motions: f.extend(m.score(c)["motion"] for c in shown))
        scores[name] = np.array(motions)
        print(
            f"{name:<10} {accuracy(clips, truth, scores[name])}; {1000 * seconds[name] / len(clips) / 2:.2f} ms a pair"
        )
    print(f"cost       ours/Farneback {seconds['ours'] / seconds['Farneback']:.3f} (OpenCV {cv2.__version__})")
    for kind in dict.fromkeys(clip.kind for clip in clips):
        of_kind = np.array([clip.kind == kind for clip in clips])
        moving = truth[of_kind] > 0
        value = scores["ours"][of_kind] / np.where(moving, truth[of_kind], 1)
        low, middle, high = np.percentile(value, (0, 50, 100))
        print(f"  {kind:<9} {'score/truth' if moving.any() else 'score'}: {low:.2f} to {high:.2f}, median {middle:.2f}")


def on_real_clips() -> None:
    gated, ungated = Motion(), Ungated()
    for name, clip in real_clips().items():
        was, is_now = ungated.score(clip)["motion"], gated.score(clip)["motion"]
        kept = f"{is_now / was:.2f} of it" if was >= KEPT else "still"
        print(f"real clip  {name:<22} ungated {was:6.2f}, gated {is_now:6.2f}: {kept}")


def on_held_frames() -> None:
    motion, ungated = Motion(), Ungated()
    scores: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for still in held_frames():
            clip = encoded_still(still, folder)
            both = ungated.score(clip)["motion"], motion.score(clip)["motion"]
            scores.setdefault(f"{still.kind} {still.amount:g}", []).append(both)
    for change, of_change in scores.items():
        was, is_now = np.array(of_change).T
        print(
            f"held frame {change:<13} taken for moving: {(is_now >= KEPT).sum()} of {len(is_now)} "
            f"(ungated {(was >= KEPT).sum()}); median {np.median(is_now):.2f}, highest {is_now.max():.2f}"
        )


if __name__ == "__main__":
    main()
