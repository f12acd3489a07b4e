"""Near duplicates at the default threshold: precision and recall for each way of copying; and what many clips cost.

usage: python tests/bench/bench_dedup.py [tune | scale N]

With `tune` it prints, on the seeds for that, how far copies lie from what they are of and how near others come: the
default of dedup.near was set between them. Without, precision and recall on seeds that were not looked at then, and on
real clips, where there are. `scale` takes the time and memory for N clips of random hashes.
"""

from __future__ import annotations

import itertools
import resource
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from framemill.data_filters.dedup.config import DedupConfig
from framemill.data_filters.dedup.near import distance, near_duplicates
from framemill.platform.vision.video import VideoError, iter_frames, probe

sys.path.append(str(Path(__file__).resolve().parents[2]))  # `tests`, when this file is run by its path

from tests.bench.copy_set import COPIES, HELD_OUT, TUNING, Footage, copies, look_alikes, originals
from tests.bench.motion_footage import FOLDER

MOST = DedupConfig().near
REAL_FRAMES, REAL_SIDE = 60, 480
COPIED = 0.05


def measured(seeds: range, folder: str) -> tuple[dict[str, bytes], dict[str, bytes], dict[str, dict[str, bytes]]]:
    """Hashes: of the originals, of what looks like them, and of the copies by way."""
    of, others, made = {}, {}, {name: {} for name in COPIES}
    for one in originals(seeds):
        of[one.name] = one.clip(folder).phashes
        for way, copy in copies(one).items():
            made[way][one.name] = copy.clip(folder).phashes
    for one in itertools.chain.from_iterable(look_alikes(seed) for seed in seeds):
        others[one.name] = one.clip(folder).phashes
    return of, others, made


def judged(of: dict[str, bytes], others: dict[str, bytes], made: list[tuple[str, bytes]]) -> str:
    """Of all clips that are told to be copies, how many are of what is named (precision); of all copies, how many are
    told (recall)."""
    names, hashes = zip(*of.items(), *others.items(), *made, strict=True)
    duplicates = near_duplicates(hashes, [str(number) for number in range(len(names))], MOST)
    right = sum(names[kept] == names[number] for number, (kept, _) in duplicates.items())
    precision = right / len(duplicates) if duplicates else float("nan")
    return f"precision {precision:.3f}, recall {right / len(made):.3f} ({len(made)} copies, {len(duplicates)} found)"


def print_accuracy(
    label: str, of: dict[str, bytes], others: dict[str, bytes], made: dict[str, dict[str, bytes]]
) -> None:
    for way, copied in made.items():
        print(f"{label} {way:<12} {judged(of, others, list(copied.items()))}")
    whole = [pair for copied in made.values() for pair in copied.items()]
    print(f"{label} {'all of these':<12} {judged(of, others, whole)}, beside {len(others)} look-alikes")


def tune(of: dict[str, bytes], others: dict[str, bytes], made: dict[str, dict[str, bytes]]) -> None:
    for way, copied in made.items():
        far = np.array([distance(words(of[name]), words(data)) for name, data in copied.items()])
        print(f"tuning {way:<12} median {np.median(far):.0f}, 95 % {np.percentile(far, 95):.0f}, farthest {far.max()}")
    pairs = itertools.combinations([words(data) for data in (of | others).values()], 2)
    near = np.array([distance(one, other) for one, other in pairs])
    print(f"tuning no copies    nearest {np.sort(near)[:5]}, mean {near.mean():.1f}, deviation {near.std():.1f}")


def words(hashes: bytes) -> np.ndarray:
    return np.frombuffer(hashes, ">u8").astype(np.uint64).reshape(-1, 2)


def real_footage() -> list[Footage]:
    """The longest clip from the first frames of each real video, small."""
    clips = []
    for path in sorted(FOLDER.glob("*.*")):
        try:
            info = probe(str(path))
            scale = REAL_SIDE / max(info.width, info.height) / 2
            size = 2 * round(info.width * scale), 2 * round(info.height * scale)
            frames = [frame.rgb for frame in itertools.islice(iter_frames(str(path), size=size), REAL_FRAMES)]
        except VideoError:
            continue
        if len(frames) == REAL_FRAMES and path.name != "hiker_tiny.mp4":  # which is hiker.mp4 at another size
            clips.append(Footage(path.name, frames, info.fps))
    return clips


def on_real_clips(folder: str) -> None:
    of, made = {}, {name: {} for name in COPIES}
    for one in real_footage():
        try:
            of[one.name] = one.clip(folder).phashes
            for way, copy in copies(one).items():
                made[way][one.name] = copy.clip(folder).phashes
        except AssertionError:  # a cut lies in it
            of.pop(one.name, None)
    whole = {way: {name: data for name, data in c.items() if name in of} for way, c in made.items()}
    if of:
        print_accuracy("real    ", of, {}, whole)


def at_scale(count: int) -> None:
    """Eight frames a clip, each a few bits from the others; one clip of twenty is a copy."""
    random = np.random.default_rng(count)
    frames = np.repeat(random.integers(0, 256, (count, 1, 16), np.uint8), 8, axis=1)
    frames ^= flips(random, frames.shape, 4)
    copied = int(count * COPIED)
    frames[-copied:] = frames[:copied] ^ flips(random, (copied, 8, 16), 3)
    hashes = [one.tobytes() for one in frames]
    began = time.process_time()
    duplicates = near_duplicates(hashes, [str(number) for number in range(count)], MOST)
    seconds, peak = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    right = sum(number - kept == count - copied for number, (kept, _) in duplicates.items())
    print(
        f"scale    {count} clips: {seconds:.1f} CPU s ({1e6 * seconds / count:.0f} us a clip), "
        f"recall {right / copied:.4f}, precision {right / max(1, len(duplicates)):.4f}, peak {peak:.2f} GiB"
    )


def flips(random: np.random.Generator, shape: tuple[int, ...], halvings: int) -> np.ndarray:
    """Bytes of which one bit in 2 ** halvings is set."""
    return np.bitwise_and.reduce([random.integers(0, 256, shape, np.uint8) for _ in range(halvings)])


def main() -> None:
    cv2.setNumThreads(1)
    if sys.argv[1:2] == ["scale"]:
        at_scale(int(sys.argv[2]))
        return
    with tempfile.TemporaryDirectory() as folder:
        if sys.argv[1:] == ["tune"]:
            tune(*measured(TUNING, folder))
            return
        print_accuracy("held out", *measured(HELD_OUT, folder))
        on_real_clips(folder)


if __name__ == "__main__":
    main()
