"""What the key-frame screen takes of a hopeless source, and of one it leaves to the pass: CPU seconds beside those of
decoding them whole, and of the pass that it saves.

usage: python tests/bench/bench_screen.py
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from framemill.data_filters.filters.registry import FILTERS
from framemill.data_filters.measure.config import PrefilterConfig
from framemill.data_filters.measure.decode_pass import measure_source
from framemill.data_filters.measure.keyframe_filter import keyframe_prefilter
from framemill.data_filters.measure.messages import MeasureSettings
from framemill.platform.vision.video import probe

sys.path.append(str(Path(__file__).resolve().parents[2]))  # `tests`, when this file is run by its path

from tests.bench.bench_curate import FPS, cpu_seconds, decode, footage
from tests.support.footage import write

SECONDS = 60
SETTINGS = MeasureSettings(2.0, 5.1, tuple(FILTERS), trim_s=0.1)
CRF = "23"
"""As x264 comes: at higher quality it goes on refining the grain of a still, which the screen leaves to the pass."""


def sources() -> Iterator[tuple[str, np.ndarray]]:
    # A photograph is smoother than the drawn texture.
    first = cv2.GaussianBlur(next(footage()), (0, 0), 2)
    still = (SECONDS * FPS, *first.shape)
    yield "a still", np.broadcast_to(first, still)
    yield "a blank one", np.broadcast_to(np.uint8(0), still)
    yield "a camera that pans", np.stack(list(islice(footage(), 20 * FPS)))


def main() -> None:
    print(f"PyAV {version('av')}; one core, CPU seconds of 720p")
    with tempfile.TemporaryDirectory() as scratch:
        for name, frames in sources():
            path = str(write(Path(scratch) / "made.mp4", frames, rate=FPS, options={"crf": CRF}))
            plain, _ = cpu_seconds(lambda path=path: decode(path))
            whole, _ = cpu_seconds(lambda path=path: list(measure_source(path, SETTINGS)))
            info = probe(path)
            took, reason = cpu_seconds(lambda path=path, info=info: keyframe_prefilter(path, info, PrefilterConfig()))
            costs = f"decoding {plain:6.3f} s, the pass {whole:6.3f} s, screening {took:6.3f} s"
            print(f"{name:<20} {costs} = 1/{plain / took:.0f} and 1/{whole / took:.0f}  {reason}")


if __name__ == "__main__":
    main()
