"""What the key-frame screen takes of a hopeless source, and of one it leaves to the pass, beside decoding them whole:
CPU seconds of the same run.

usage: python tests/bench/bench_screen.py
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from itertools import islice, repeat
from pathlib import Path

import numpy as np
from bench_curate import FPS, cpu_seconds, decode, footage

from framemill.data_filters.config import ScreenConfig
from framemill.data_filters.screen import screen
from framemill.platform.vision.video import encode_mp4, probe

SECONDS = 60


def sources() -> Iterator[tuple[str, Iterator[np.ndarray]]]:
    first = next(footage())
    yield "a still", repeat(first, SECONDS * FPS)
    yield "a blank one", repeat(np.zeros_like(first), SECONDS * FPS)
    yield "a camera that pans", islice(footage(), 20 * FPS)


def main() -> None:
    print(f"PyAV {version('av')}; one core, CPU seconds of 720p")
    with tempfile.TemporaryDirectory() as scratch:
        for name, frames in sources():
            path = str(Path(scratch) / "made.mp4")
            Path(path).write_bytes(encode_mp4(frames, FPS))
            plain, _ = cpu_seconds(lambda path=path: decode(path))
            info = probe(path)
            took, reason = cpu_seconds(lambda path=path, info=info: screen(path, info, ScreenConfig()))
            print(f"{name:<20} decoding {plain:6.3f} s, screening {took:6.3f} s = 1/{plain / took:.0f}  {reason}")


if __name__ == "__main__":
    main()
