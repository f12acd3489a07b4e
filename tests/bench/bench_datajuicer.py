"""Data-Juicer's motion filter alone against all that measuring does here: CPU seconds and wall time, the same files.

usage: python tests/bench/bench_datajuicer.py [videos or folders of them; default: 80 s of 480p, rendered here]

Data-Juicer 1.6 gets an environment of its own, made by uv, and a process of its own. Its operator is called directly,
with what it does by default and without its data sets, executor and imports; the warm-up is one call on another clip.
Ours is every filter, the cuts, the hash, the pictures. Aim: ours at least 15 times faster in CPU seconds.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np

from framemill.data_filters.filters.registry import FILTERS
from framemill.data_filters.measure.config import PrefilterConfig
from framemill.data_filters.measure.decode_pass import measure_source
from framemill.data_filters.measure.messages import MeasuredClip, MeasureSettings
from framemill.data_filters.sources.file_names import VIDEO_SUFFIXES
from framemill.platform.vision.video import VideoError, encode_mp4, iter_frames, probe

sys.path.append(str(Path(__file__).resolve().parents[2]))  # `tests`, when this file is run by its path

from tests.bench.bench_curate import texture

ROOT = Path(__file__).resolve().parents[2]
UV = ROOT / ".venv" / "uv" / "bin" / "uv"
PEER = ["py-data-juicer==1.6.*", "aiohttp", "opencv-contrib-python-headless", "ray"]
"""Besides itself what it imports and does not ask for, and what its lazy imports would install during the run."""
CLIPS, SECONDS, FPS, SIZE = 8, 10, 30, (480, 854)
THEIRS = """
import json, sys, time
from importlib.metadata import version
started = time.perf_counter()
from data_juicer.ops.filter.video_motion_score_filter import VideoMotionScoreFilter
from data_juicer.utils.constant import Fields, StatsKeys
operator = VideoMotionScoreFilter()
measure = lambda path: operator.compute_stats_single({"videos": [path], Fields.stats: {}})[Fields.stats]
warm_up, *paths = sys.argv[1:]
measure(warm_up)
startup = time.perf_counter() - started
wall, cpu = time.perf_counter(), time.process_time()
scores = {path: float(measure(path)[StatsKeys.video_motion_score][0]) for path in paths}
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
versions = {name: version(name) for name in ("py-data-juicer", "opencv-contrib-python-headless")}
print(json.dumps({"startup": startup, "wall": wall, "cpu": cpu, "scores": scores, "versions": versions}))
"""


def make_clip(path: Path, seed: int, seconds: float) -> str:
    """A camera that pans over a texture of natural spectrum, with the sensor's grain."""
    random = np.random.default_rng(seed)
    height, width = SIZE
    ground = texture(random, height + 200, width + 400)
    grain = random.normal(0, 2.5, (8, height, width, 1))

    def frames() -> Iterator[np.ndarray]:
        for index in range(round(seconds * FPS)):
            x, y = int(200 + 200 * np.sin(index / (20 + seed))), int(100 + 100 * np.cos(index / 30))
            yield np.clip(ground[y : y + height, x : x + width] + grain[index % 8], 0, 255).astype(np.uint8)

    path.write_bytes(encode_mp4(frames(), FPS, crf=21))
    return str(path)


def videos_of(words: list[str]) -> list[str]:
    files = [file for word in words for file in ([Path(word)] if Path(word).is_file() else Path(word).iterdir())]
    return sorted(str(file) for file in files if file.suffix.lower() in VIDEO_SUFFIXES)


def seconds_of(path: str) -> float:
    """How long a file is; 0 where it cannot be read to its end."""
    try:
        info = probe(path)
        return sum(1 for _ in iter_frames(path, size=(32, 32))) / info.fps
    except VideoError:
        return 0.0


def theirs(folder: Path, warm_up: str, paths: list[str]) -> dict:
    """Data-Juicer's figures."""
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run([UV, "pip", "install", "--quiet", "--python", python, *PEER], check=True)
    done = subprocess.run([python, "-c", THEIRS, warm_up, *paths], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def ours(warm_up: str, paths: list[str]) -> dict:
    settings = MeasureSettings(2.0, 5.1, tuple(FILTERS), trim_s=0.1, keyframe_prefilter=PrefilterConfig())
    started = time.perf_counter()
    list(measure_source(warm_up, settings))
    wall, cpu = time.perf_counter(), time.process_time()
    clips = sum(isinstance(item, MeasuredClip) for path in paths for item in measure_source(path, settings))
    ended = time.perf_counter(), time.process_time()
    return {"startup": wall - started, "wall": ended[0] - wall, "cpu": ended[1] - cpu, "clips": clips}


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        warm_up = make_clip(folder / "warm-up.mp4", CLIPS, 1.0)
        given = videos_of(sys.argv[1:]) or [make_clip(folder / f"{i}.mp4", i, SECONDS) for i in range(CLIPS)]
        lengths = {path: seconds_of(path) for path in given}
        paths, length = [path for path in given if lengths[path]], sum(lengths.values())
        peer, own = theirs(folder / "peer", warm_up, paths), ours(warm_up, paths)
    versions = ", ".join(f"{name} {number}" for name, number in peer["versions"].items())
    print(
        f"{versions}; PyAV {version('av')}, OpenCV {version('opencv-python-headless')}, Python {sys.version.split()[0]}"
    )
    print(f"{len(paths)} files, {length:.1f} s of video; left out, as they break off: {len(given) - len(paths)}")
    for name, run in (("Data-Juicer, motion alone", peer), (f"ours, everything, {own['clips']} clips", own)):
        print(
            f"{name:<32} CPU {run['cpu']:8.2f} s  wall {run['wall']:8.2f} s  {length / run['cpu']:8.1f} x real time"
            f"  (start-up and warm-up {run['startup']:.2f} s)"
        )
    print(f"ratio: CPU {peer['cpu'] / own['cpu']:.1f}, wall {peer['wall'] / own['wall']:.1f}")


if __name__ == "__main__":
    main()
