"""At which moments of a curation which of its processes is killed.

A run has the phases of PHASES. A kill names its victim, the phase, and how much work must be done before it is due.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from framemill.platform.vision.video import encode_mp4
from framemill.platform.writer_lock import read_owner
from tests.support.curation_output import read_journal, unfinished_work
from tests.support.footage import moving

VICTIMS = ("worker", "decoder", "driver", "worker", "decoder", "driver, workers stopped")
"""`worker`: a Ray actor that is at work. `decoder`: the child process of one. `driver`: the command itself; with its
workers stopped (SIGSTOP) before it dies, and continued once a successor owns the output."""
PHASES = ("starting", "measuring", "packing", "mid-shard", "committing", "recording")
"""mid-shard: a shard is being written, or has no manifest yet. recording: the index is there, MLflow has no run yet."""
FRAME_SIZE, FPS = (1280, 720), 16
LONG_SCENES = 8
"""Scenes of the long file of `draw_footage`; each is one clip."""


@dataclass(frozen=True)
class Kill:
    """One planned kill by SIGKILL."""

    victim: str
    phase: str
    after: int = 0
    """Number of sources (shards, in the phases of packing) that must be done before the kill is due."""
    delay_s: float = 0.0
    """Time between the moment when the kill is due and the kill."""


@dataclass
class KillRecord:
    """The state of the run at the moment of one kill, and what came of it."""

    kill: Kill
    in_flight: int
    """Sources and shards that were started and not done."""
    half_written: int
    """Shards that were being written or had no manifest."""
    orphans: int = 0
    """Processes of a killed driver that were alive after its end."""
    outcome: str = "the run went on"


def draw_footage(folder: Path, clips: int) -> Path:
    """Writes `clips` short videos and a long one of LONG_SCENES scenes, of which no two frames are equal."""
    folder.mkdir()
    for seed in range(clips):
        (folder / f"{seed:02d}.mp4").write_bytes(encode_mp4(moving(seed, 2.5, FPS, FRAME_SIZE), FPS))
    scenes = (frame for i in range(LONG_SCENES) for frame in moving(clips + i, 2.5, FPS, FRAME_SIZE))
    (folder / "long.mp4").write_bytes(encode_mp4(scenes, FPS))
    return folder


def plan_kills(seed: int, count: int, sources: int, shards: int) -> list[Kill]:
    """Draws `count` kills in the order of the run.

    The driver is killed once in each phase in which it works alone; the other kills fall anywhere, on any victim.
    """
    dice = random.Random(seed)
    driver_alone = [
        Kill("driver", "starting", 0, dice.uniform(0, 4)),
        Kill("driver", "committing"),
        Kill("driver", "recording", 0, dice.uniform(0, 1)),
    ]
    moments = [("measuring", n) for n in range(1, sources - 1)]
    moments += [(dice.choice(("packing", "mid-shard")), n) for n in range(shards - 1)]
    victims = [VICTIMS[i % len(VICTIMS)] for i in range(count - len(driver_alone))]
    dice.shuffle(victims)
    anywhere = [
        Kill(victim, phase, after, dice.uniform(0, 0.1) if phase != "mid-shard" else 0.0)
        for victim, (phase, after) in zip(victims, dice.sample(moments, len(victims)), strict=True)
    ]
    # Both phases of packing count shards from the first, so they are one stretch of the order.
    order = {phase: number for number, phase in enumerate(PHASES)} | {"mid-shard": PHASES.index("packing")}
    return sorted(driver_alone + anywhere, key=lambda kill: (order[kill.phase], kill.after))


def is_due(kill: Kill, output: Path, attempts_before: int) -> bool:
    """Whether the run is at the moment of a kill; `attempts_before`: the last attempt when its driver started."""
    if kill.phase == "starting":
        return read_owner(str(output))[0] > attempts_before
    if kill.phase == "committing":
        return (output / "samples.parquet").exists()
    if kill.phase == "recording":
        return (output / "index.json").exists()
    entries = read_journal(output)
    done = [entry for entry in entries if entry["event"] == "done"]
    unit = "path" if kill.phase == "measuring" else "shard"
    if sum(unit in entry for entry in done) < kill.after or not unfinished_work(entries):
        return False
    if kill.phase == "measuring":
        return True
    return any("shard" in entry for entry in entries) and (kill.phase == "packing" or half_written_shards(output) > 0)


def half_written_shards(output: Path) -> int:
    """Number of shards that are being written, or have no manifest."""
    manifests = output / "work" / "shards"
    return sum(not (manifests / f"{file.name}.json").exists() for file in (output / "shards").glob("*"))
