"""Five kills by SIGKILL while clips are scored by a network, deduplicated and captioned, against a run left alone.

usage: python tests/bench/bench_judgement_kill.py [seed, default 0]

The result must be the same to the byte, nothing scored or packed twice, and no clip asked about again whose caption is
recorded: the server, a process of its own, counts.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from framemill.data_filters.captions.answer_store import read_answers
from framemill.platform.vision.video import encode_mp4

sys.path.append(str(Path(__file__).resolve().parents[2]))  # `tests`, when this file is run by its path

from tests.support.caption_server import MODEL, Server, caption_server
from tests.support.curation_output import committed_bytes, read_journal
from tests.support.flow_files import closed_form
from tests.support.footage import moving
from tests.support.process_tree import descendants, workers

SOURCES, COPIES, FPS, SIZE = 8, 3, 16, (320, 180)
PATIENCE_S = 240.0
KILLS = (("scoring", "worker"), ("scoring", "driver"), ("deduplicating", "driver"), ("captioning", "worker"))
LAST = ("captioning", "driver")


def draw_footage(folder: Path) -> None:
    """Short videos, and some of them again at another size and quality: near duplicates."""
    folder.mkdir()
    for seed in range(SOURCES):
        frames = list(moving(seed, 6.0, FPS, SIZE))
        (folder / f"{seed:02d}.mp4").write_bytes(encode_mp4(iter(frames), FPS))
        if seed < COPIES:
            half = [frame[::2, ::2] for frame in frames]
            (folder / f"copy of {seed:02d}.mp4").write_bytes(encode_mp4(iter(half), FPS, crf=28))


def command(footage: Path, output: Path, network: Path, server: Server) -> list[str]:
    words = [f"input={footage}", f"output={output}", "workers=2", "select=all", "pack.samples_per_shard=4"]
    words += ["clip.min_seconds=1", "clip.max_seconds=2", "motion.backend=onnx", f"motion.weights={network}"]
    words += ["captions=[endpoint,descriptor]", f"caption.url={server.url}", f"caption.served_model={MODEL}"]
    words += ["caption.frames=2", "caption.max_side=96", "caption.concurrency=2", "caption.backoff_s=0.01"]
    return [sys.executable, "-m", "framemill.jobs.cli", "curate", *words]


def recorded(output: Path) -> str:
    """All answers on disk."""
    folders = (output / "work" / "captions").glob("*")
    return " ".join(one.text for folder in folders for answers in read_answers(str(folder)).values() for one in answers)


def due(phase: str, output: Path, asked: int, clips: int, at: float) -> bool:
    entries = read_journal(output)
    scored = [entry for entry in entries if "scored" in entry]
    if phase == "scoring":
        return sum(entry["event"] == "done" for entry in scored) >= 1 + at * (SOURCES - 4)
    if phase == "deduplicating":
        return sum(entry["event"] == "done" for entry in scored) == SOURCES + COPIES
    return asked >= 1 + at * (clips - 4)


def wait(driver: subprocess.Popen, moment: Callable[[], bool]) -> bool:
    """Whether the moment came before the driver ended."""
    deadline = time.monotonic() + PATIENCE_S
    while not moment():
        if driver.poll() is not None:
            return False
        if time.monotonic() > deadline:
            raise RuntimeError("the moment did not come")
        time.sleep(0.005)
    return True


def disturbed(run: list[str], output: Path, server: Server, clips: int, seed: int) -> list[str]:
    """Runs through all kills to the end; what was wrong."""
    dice, wrong, recorded_marks = random.Random(seed), [], {}
    driver = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for i, (phase, victim) in enumerate((*KILLS, LAST)):
        at = (i % 2 + dice.random()) / 2

        def asked() -> int:
            return sum(server.stats()["asked"].values())

        if not wait(driver, lambda phase=phase, at=at: due(phase, output, asked(), clips, at)):
            wrong.append(f"{phase}: the run was over before its {victim} could be killed")
            break
        family = descendants(driver.pid)
        if victim == "worker":
            dice.choice(sorted(workers(family), key=lambda one: one.pid)).send(signal.SIGKILL)
        else:
            driver.kill()
            driver.wait()
            marks, answers = server.stats()["asked"], recorded(output)
            recorded_marks |= {mark: marks[mark] for mark in marks if mark in answers and mark not in recorded_marks}
            driver = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        print(
            f"  {phase:<14} {victim:<7} killed; {asked():3d} requests so far, {len(recorded_marks):3d} answers held",
            flush=True,
        )
    while driver.wait():
        driver = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    marks = server.stats()["asked"]
    return wrong + [
        f"{mark}: asked for again, though recorded" for mark in recorded_marks if marks[mark] != recorded_marks[mark]
    ]


def main() -> int:
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    with tempfile.TemporaryDirectory() as scratch:
        footage, alone, output = (Path(scratch) / name for name in ("footage", "alone", "killed"))
        network = closed_form(Path(scratch) / "flow.onnx")
        draw_footage(footage)
        with caption_server() as server:
            subprocess.run(command(footage, alone, network, server), check=True, stdout=subprocess.DEVNULL)
            clips = len(server.stats()["asked"])
        reasons = json.loads((alone / "index.json").read_text())["totals"]["reasons"]
        print(f"{clips} clips captioned; left alone: {reasons}")
        with caption_server(delay_s=0.3) as server:
            wrong = disturbed(command(footage, output, network, server), output, server, clips, seed)
        ours, theirs = committed_bytes(output), committed_bytes(alone)
        wrong += [
            f"{name}: differs" for name in sorted(ours.keys() | theirs.keys()) if ours.get(name) != theirs.get(name)
        ]
        done = [entry for entry in read_journal(output) if entry["event"] == "done"]
        for unit in ("path", "scored", "shard"):
            counts = Counter(entry[unit] for entry in done if unit in entry)
            wrong += [f"{name}: done {count} times" for name, count in counts.items() if count > 1]
    for one in wrong:
        print(f"  WRONG: {one}")
    print("differs, or did something twice" if wrong else "byte-identical, nothing asked, scored or packed twice")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
