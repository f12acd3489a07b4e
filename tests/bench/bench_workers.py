"""Two workers against one: how long `framemill curate` works on the same footage, apart from starting up.

usage: python tests/bench/bench_workers.py [minutes of video, default 20]

The work is timed by the journal, from the first source that is begun to the last shard that is done. Aim: two workers
at least 1.5 times as fast, on two cores with nothing else to do.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np

from framemill.data_filters.ledger.event_log import EVENT_LOG

sys.path.append(str(Path(__file__).resolve().parents[2]))  # `tests`, when this file is run by its path

from tests.bench.bench_curate import texture
from tests.support.footage import again_and_again, write

FILES = 24
FPS, SIZE = 25, (480, 854)
SWING_S = 4.0
"""A file's camera swings over its own texture and back to where it began: repeated, that is one long shot."""


def frames(seed: int) -> Iterator[np.ndarray]:
    height, width = SIZE
    ground = texture(np.random.default_rng(seed), height + 80, width + 320)
    for turn in np.linspace(0, 2 * np.pi, round(SWING_S * FPS), endpoint=False):
        x, y = int(160 + 160 * np.sin(turn)), int(40 + 40 * np.cos(turn))
        yield ground[y : y + height, x : x + width]


def make_footage(folder: Path, seconds: float) -> None:
    """Files of so many seconds each: one swing encoded, its packets written again and again."""
    folder.mkdir()
    swing = folder.with_name("swing.mp4")
    for seed in range(FILES):
        write(swing, np.stack(list(frames(seed))), rate=FPS, options={"preset": "veryfast", "bf": "0", "g": "1000"})
        again_and_again(swing, folder / f"{seed:02d}.mp4", 1 / FPS, seconds)


def curate(footage: Path, output: Path, workers: int) -> dict[str, float]:
    """Seconds of starting up, of measuring, of packing, and from the first start to the last done."""
    words = [f"input={footage}", f"output={output}", f"workers={workers}", "pack.mode=copy", "pack.samples_per_shard=8"]
    launched = time.time()
    subprocess.run(
        [sys.executable, "-m", "framemill.jobs.cli", "curate", *words], check=True, stdout=subprocess.DEVNULL
    )
    entries = [json.loads(line) for line in (output / EVENT_LOG).read_text().splitlines()]
    times = {unit: [entry["time"] for entry in entries if unit in entry] for unit in ("path", "shard")}
    begun, ended = times["path"][0], times["shard"][-1]
    return {
        "start-up": begun - launched,
        "measuring": times["path"][-1] - begun,
        "packing": ended - times["shard"][0],
        "the work": ended - begun,
    }


def main() -> None:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    print(f"Ray {version('ray')}, {len(os.sched_getaffinity(0))} cores, {minutes:g} minutes of 480p in {FILES} files")
    with tempfile.TemporaryDirectory() as scratch:
        footage = Path(scratch) / "footage"
        make_footage(footage, minutes * 60 / FILES)
        runs = {workers: curate(footage, Path(scratch) / str(workers), workers) for workers in (1, 2)}
        indexes = {(Path(scratch) / str(workers) / "index.json").read_bytes() for workers in runs}
    for workers, spans in runs.items():
        times = "  ".join(f"{name} {seconds:7.2f} s" for name, seconds in spans.items())
        print(f"workers={workers}  {times}")
    ratios = "  ".join(f"{name} {seconds / runs[2][name]:.2f}" for name, seconds in runs[1].items())
    print(f"ratio      {ratios}  (the index is {'the same' if len(indexes) == 1 else 'ANOTHER'})")


if __name__ == "__main__":
    main()
