"""Scene changes found in a pinned set of clips, ours beside PySceneDetect's own detectors: accuracy and CPU seconds.

usage: python tests/bench/bench_cuts.py [videos ...; what is found in them instead]

A hard cut counts within 2 frames, a fade or dissolve anywhere in it, each once; all else that is found is wrong.
CPU seconds are those of the detector alone, beside plain decoding of a 720p file in the same run. Aim: 0.12 of it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import scenedetect
from scenedetect.common import FrameTimecode
from scenedetect.detector import SceneDetector
from scenedetect.detectors import AdaptiveDetector, ContentDetector, ThresholdDetector

from framemill.data_filters.measure.transitions import Transition, TransitionFinder
from framemill.platform.vision.video import encode_mp4, iter_frames, probe

sys.path.append(str(Path(__file__).resolve().parents[2]))  # `tests`, when this file is run by its path

from tests.bench.bench_curate import CRF, decode, footage
from tests.bench.bench_curate import FPS as FOOTAGE_FPS
from tests.bench.cut_set import FPS, cut_set, write

SIZE = (320, 180)
TOLERANCE = 2
Detect = Callable[[Iterable[np.ndarray], float], list[Transition]]


def ours(frames: Iterable[np.ndarray], fps: float) -> list[Transition]:
    finder = TransitionFinder(fps)
    changes = [change for rgb in frames for change in finder.push(rgb)]
    return [change for change in [*changes, *finder.finish()] if change.end]


def theirs(*kinds: type[SceneDetector]) -> Detect:
    """PySceneDetect's detectors as they come; what several find is put together."""

    def detect(frames: Iterable[np.ndarray], fps: float) -> list[Transition]:
        detectors, cuts, last = [kind() for kind in kinds], set(), FrameTimecode(0, float(fps))
        for index, rgb in enumerate(frames):
            last, picture = FrameTimecode(index, float(fps)), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
            cuts |= {cut.frame_num for one in detectors for cut in one.process_frame(last, picture)}
        cuts |= {cut.frame_num for one in detectors for cut in one.post_process(last)}
        return [Transition(cut, cut) for cut in sorted(cuts)]

    return detect


DETECTORS: dict[str, Detect] = {
    "ours": ours,
    "adaptive": theirs(AdaptiveDetector),
    "content": theirs(ContentDetector),
    "content and threshold": theirs(ContentDetector, ThresholdDetector),
}


def judged(changes: list[Transition], change: tuple[int, int] | None) -> Counter[str]:
    """Hits, wrong ones and misses."""
    near = [
        each for each in changes if change and each.first <= change[1] + TOLERANCE and each.end >= change[0] - TOLERANCE
    ]
    hits = min(1, len(near))
    return Counter(hit=hits, wrong=len(changes) - hits, missed=int(change is not None) - hits)


def rates(count: Counter[str]) -> str:
    precision = count["hit"] / max(1, count["hit"] + count["wrong"])
    recall = count["hit"] / max(1, count["hit"] + count["missed"])
    f1 = 2 * precision * recall / max(1e-9, precision + recall)
    return f"precision {precision:.3f}  recall {recall:.3f}  F1 {f1:.3f}"


def accuracy() -> None:
    counts: dict[str, dict[str, Counter[str]]] = {name: {} for name in DETECTORS}
    with tempfile.TemporaryDirectory() as scratch:
        for clip in cut_set():
            frames = [frame.rgb for frame in iter_frames(write(clip, scratch), size=SIZE)]
            for name, detect in DETECTORS.items():
                counts[name].setdefault(clip.kind, Counter()).update(judged(detect(frames, FPS), clip.change))
    for name, kinds in counts.items():
        for kind, count in kinds.items():
            counts = f"{count['hit']:4} found {count['missed']:4} missed {count['wrong']:4} wrong"
            print(f"{name:<22} {kind:<19} {counts}  " + (rates(count) if count["hit"] + count["missed"] else ""))
        print(f"{name:<22} {'over all':<19} {rates(sum(kinds.values(), Counter()))}")


def cost() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "made.mp4"
        path.write_bytes(encode_mp4(footage(), FOOTAGE_FPS, crf=CRF))
        frames = [frame.rgb for frame in iter_frames(str(path), size=SIZE)]
        plain = least(lambda: decode(str(path)))
    for name, detect in DETECTORS.items():
        seconds = least(lambda detect=detect: detect(frames, FOOTAGE_FPS))
        per_frame = 1e6 * seconds / len(frames)
        print(f"{name:<22} {per_frame:6.0f} us a frame  {seconds / plain:5.3f} x plain decoding of 720p")


def least(work: Callable[[], object]) -> float:
    """CPU seconds, the least of three runs."""
    times = []
    for _ in range(3):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


def main() -> None:
    print(f"PySceneDetect {scenedetect.__version__}, its defaults")
    cv2.setNumThreads(1)
    for path in sys.argv[1:]:
        frames = [frame.rgb for frame in iter_frames(path, size=SIZE)]
        for name, detect in DETECTORS.items():
            changes = detect(frames, float(probe(path).fps))
            print(f"{Path(path).name:<22} {name:<22} {[(change.first, change.end) for change in changes]}")
    if len(sys.argv) == 1:
        accuracy()
        cost()


if __name__ == "__main__":
    main()
