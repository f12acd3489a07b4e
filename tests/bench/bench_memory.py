"""Peak memory of measuring a file and one ten times as long: flat, since the pass holds one scene at most.

usage: python tests/bench/bench_memory.py [seconds of the shorter file; default: 60]

The same group of pictures is written over and over, so that the two files differ in length alone. Each is measured in
a process of its own, without the key-frame screen.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from framemill.platform.child_process import ChildProcess
from framemill.platform.vision.video import encode_mp4

sys.path.append(str(Path(__file__).resolve().parents[2]))  # `tests`, when this file is run by its path

from tests.bench.bench_curate import FPS, footage
from tests.support.footage import again_and_again

GOP_FRAMES, TIMES = 60, 10


def peak_mib(path: Path) -> float:
    with ChildProcess() as child:
        return child.call("tests.support.measured_peak:peak_kib", str(path), timeout=3600) / 1024


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    with tempfile.TemporaryDirectory() as scratch:
        gop = Path(scratch) / "gop.mp4"
        gop.write_bytes(encode_mp4((frame for frame, _ in zip(footage(), range(GOP_FRAMES), strict=False)), FPS))
        # Written at 25 frames a second: `again_and_again` counts in whole milliseconds.
        peaks = [peak_mib(again_and_again(gop, Path(scratch) / f"{n}.mp4", 0.04, n * seconds)) for n in (1, TIMES)]
    for length, peak in zip((seconds, TIMES * seconds), peaks, strict=True):
        print(f"measuring {length:6.0f} s of 720p: {peak:6.0f} MiB at most")
    print(f"{TIMES} times as long: {peaks[1] / peaks[0]:.2f} times the memory")


if __name__ == "__main__":
    main()
