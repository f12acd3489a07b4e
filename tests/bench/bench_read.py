"""Reading whole clips: our reader (PyAV) beside decord, one thread each, in CPU seconds of the same run.

usage: python tests/bench/bench_read.py [folder of video; default: the demo's reel, rendered here]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from decord import VideoReader, cpu

from framemill.platform.vision.reel import render_reel
from framemill.platform.vision.video import VideoError, read_video

REPEATS = 3


def cpu_seconds(read: Callable[[str], object], path: Path) -> float:
    """The least CPU time of a few reads."""
    times = []
    for _ in range(REPEATS):
        started = time.process_time()
        read(str(path))
        times.append(time.process_time() - started)
    return min(times)


def with_decord(path: str) -> object:
    return VideoReader(path, ctx=cpu(0), num_threads=1)[:].asnumpy()


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(scratch)
        if len(sys.argv) == 1:
            render_reel(scratch, shots=4)
        print(f"PyAV {version('av')}, decord {version('decord')}: CPU seconds a read")
        for path in sorted(p for p in folder.iterdir() if p.suffix in (".mp4", ".mkv", ".mov")):
            try:
                ours = cpu_seconds(read_video, path)
            except VideoError as error:
                print(f"{path.name:<24} {error}")
                continue
            theirs = cpu_seconds(with_decord, path)
            print(f"{path.name:<24} ours {ours:7.3f}  decord {theirs:7.3f}  decord/ours {theirs / ours:5.2f}")


if __name__ == "__main__":
    main()
