"""Measuring and packing a 720p H.264 file on one core, beside plain PyAV decoding: CPU seconds of the same run.

usage: python tests/bench/bench_curate.py [a video; default: 20 s of texture under a moving camera, rendered here]

No Ray and no child process: what a worker does to a file, and nothing else. Aims: measuring and packing at least 10
times real time a core with `copy`, at least 2.5 with `exact`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from framemill.data_filters.filters.registry import FILTERS
from framemill.data_filters.ledger.clip_table import ClipTable
from framemill.data_filters.measure.config import PrefilterConfig
from framemill.data_filters.measure.decode_pass import measure_source
from framemill.data_filters.measure.messages import MeasuredClip, MeasureSettings
from framemill.data_filters.pack.config import PackConfig
from framemill.data_filters.pack.cut import cut_clip
from framemill.data_filters.pack.plan import plan_clip
from framemill.data_filters.sources.sidecars import provenance
from framemill.platform.vision.video import encode_mp4

WIDTH, HEIGHT, FPS, SECONDS = 1280, 720, 30, 20
REPEATS = 3
CRF = 21
"""Plain decoding of the file then takes about as long as that of real 720p footage, which was 23 times real time on the
machine where the aims were set."""


def texture(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Noise in eight octaves, each fainter: about the spectrum of natural pictures. uint8 (height, width, 3)."""
    picture = np.full((height, width, 3), 120, np.float32)
    for octave in range(8):
        cells = 8 << octave
        noise = random.normal(0, 120 / 1.55 ** (octave + 1), (max(2, cells * height // width), cells, 3))
        noise = (0.3 * noise + noise.mean(axis=2, keepdims=True)).astype(np.float32)
        picture += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(picture, 0, 255).astype(np.uint8)


def footage() -> Iterator[np.ndarray]:
    """A camera that pans over a texture, another that moves in front of it, and the sensor's grain."""
    random = np.random.default_rng(0)
    ground, thing = texture(random, 1100, 2400), texture(random, 300, 300)[..., ::-1]
    grain = random.normal(0, 2.5, (8, HEIGHT, WIDTH, 1))
    for index in range(SECONDS * FPS):
        x, y = int(500 + 500 * np.sin(index / 160)), int(110 + 50 * np.sin(index / 20))
        frame = ground[y : y + HEIGHT, x : x + WIDTH].copy()
        left = int(490 + 400 * np.sin(index / 15))
        frame[200:500, left : left + 300] = thing
        yield np.clip(frame + grain[index % 8], 0, 255).astype(np.uint8)


def cpu_seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """The least CPU time of a few runs, and what the work gave."""
    times = []
    for _ in range(REPEATS):
        started = time.process_time()
        result = work()
        times.append(time.process_time() - started)
    return min(times), result


def decode(path: str) -> float:
    """Decodes every frame on one thread; gives the length in seconds."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        return sum(1 for _ in container.decode(stream)) / float(stream.average_rate)


def measure(path: str) -> list[MeasuredClip]:
    settings = MeasureSettings(2.0, 5.1, tuple(FILTERS), trim_s=0.1, keyframe_prefilter=PrefilterConfig())
    return [item for item in measure_source(path, settings) if isinstance(item, MeasuredClip)]


def pack(path: str, clips: list[MeasuredClip], mode: str) -> tuple[float, float]:
    """Cuts out every clip; gives the seconds of video packed and the megabytes they take."""
    seconds = size = 0.0
    for clip in clips:
        facts = {name: getattr(clip, name) for name in ("start_s", "end_s", "frames", "width", "height", "fps")}
        named = {
            "key": "clip",
            "path": path,
            "source_id": "",
            "caption": "",
            "captions": [],
            "provenance": provenance(),
        }
        row = ClipTable.of([{**facts, **named}])[0]
        mp4, cut = cut_clip(path, plan_clip(row, path, "", PackConfig(mode=mode), []))
        seconds, size = seconds + cut.duration, size + len(mp4) / 1e6
    return seconds, size


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        path = sys.argv[1] if len(sys.argv) > 1 else str(Path(scratch) / "made.mp4")
        if len(sys.argv) == 1:
            Path(path).write_bytes(encode_mp4(footage(), FPS, crf=CRF))
        print(f"PyAV {version('av')}; one core, CPU seconds, least of {REPEATS}")
        plain, length = cpu_seconds(lambda: decode(path))
        measuring, clips = cpu_seconds(lambda: measure(path))

        def line(name: str, seconds: float, more: str = "") -> None:
            pace = f"{length / seconds:8.1f} x real time  {seconds / plain:6.2f} x plain decoding"
            print(f"{name:<26} {seconds:8.3f} s {pace}{more}")

        line("plain decoding", plain)
        line(f"measuring, {len(clips)} clips", measuring)
        for mode in ("copy", "exact"):
            packing, (packed, size) = cpu_seconds(lambda mode=mode: pack(path, clips, mode))
            line(f"packing, {mode}", packing, f"  {packed:.1f} s, {size:.2f} MB")
            line(f"measuring and {mode}", measuring + packing)


if __name__ == "__main__":
    main()
