"""The motion score against the truth of a pinned set of clips, beside Farneback at the same size.

usage: python tests/bench/bench_motion.py
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable

import cv2
import numpy as np
from motion_set import MotionClip, encoded, motion_set

from framemill.data_filters.clip import ClipFrames
from framemill.data_filters.filters.motion import Motion


class Farneback(Motion):
    """Motion by Farneback's flow with the parameters of OpenCV's example, ungated."""

    def pair(self, earlier: np.ndarray, later: np.ndarray, seconds: float) -> np.ndarray:
        height, width = earlier.shape
        nothing = np.zeros((height, width, 2), np.float32)
        flow = cv2.calcOpticalFlowFarneback(earlier, later, nothing, 0.5, 3, 15, 3, 5, 1.2, 0)
        flow *= np.array([576 / width, 320 / height], np.float32)
        means = [np.sqrt(np.square(flow).sum(axis=-1)).mean(), flow[..., 0].mean(), flow[..., 1].mean()]
        return np.array(means) * (0.5 / seconds)


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


def told(clips: list[MotionClip], truth: np.ndarray, scores: np.ndarray) -> str:
    moves = np.array([clip.moving for clip in clips])
    pans = np.array([clip.kind == "pan" and clip.amount >= 1 for clip in clips])
    return (
        f"rank correlation {rank_correlation(scores[moves], truth[moves]):.3f} (moving), "
        f"{rank_correlation(scores, truth):.3f} (all); AUC {area_under_curve(scores[moves], scores[~moves]):.3f}; "
        f"score/truth on pans of 1 px and more: median {np.median(scores[pans] / truth[pans]):.3f}"
    )


def main() -> None:
    cv2.setNumThreads(1)
    clips = motion_set()
    with tempfile.TemporaryDirectory() as folder:
        shown: list[ClipFrames] = [encoded(clip, folder) for clip in clips]
    truth = np.array([clip.truth() for clip in clips])
    seconds, scores = {}, {}
    for name, method in (("ours", Motion()), ("Farneback", Farneback())):
        found: list[float] = []
        seconds[name] = cpu_seconds(lambda m=method, f=found: f.extend(m.score(c)["motion"] for c in shown))
        scores[name] = np.array(found)
        print(f"{name:<10} {told(clips, truth, scores[name])}; {1000 * seconds[name] / len(clips) / 2:.2f} ms a pair")
    print(f"cost       ours/Farneback {seconds['ours'] / seconds['Farneback']:.3f} (OpenCV {cv2.__version__})")
    for kind in dict.fromkeys(clip.kind for clip in clips):
        of_kind = np.array([clip.kind == kind for clip in clips])
        moving = truth[of_kind] > 0
        value = scores["ours"][of_kind] / np.where(moving, truth[of_kind], 1)
        low, middle, high = np.percentile(value, (0, 50, 100))
        print(f"  {kind:<9} {'score/truth' if moving.any() else 'score'}: {low:.2f} to {high:.2f}, median {middle:.2f}")


if __name__ == "__main__":
    main()
