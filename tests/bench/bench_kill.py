"""20 kills by SIGKILL at random moments of a curation, against the same curation left alone.

usage: python tests/bench/bench_kill.py [seed, default 0] [kills, default 20]

Half of the kills fall while the clips are packed with pack.mode=exact, half with copy. The result must be the same to
the byte, with nothing done twice; the table says what each kill met.
"""

from __future__ import annotations

import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))  # `tests`, when this file is run by its path

from tests.support.kill_plan import LONG_SCENES, MISSED, Landed, Run, draw_footage, plan_kills, problems_of

CLIPS = 24
SHARDS = (CLIPS + LONG_SCENES) // 2
WORDS = ["pack.samples_per_shard=2"]


def tell(one: Landed) -> None:
    """A row of the table."""
    orphans = f"; {one.orphans} orphans at the restart" if one.orphans else ""
    kill = one.kill
    print(
        f"  {kill.victim:<21} {kill.phase:<11} {kill.after:>5} {one.in_flight:>6} {one.half_written:>13}"
        f"  {one.outcome}{orphans}",
        flush=True,
    )


def main() -> int:
    seed, kills = (int(word) for word in [*sys.argv[1:], *("0", "20")[len(sys.argv) - 1 :]])
    print(f"Ray {version('ray')}; seed {seed}, {kills} kills, {CLIPS + 1} sources, {SHARDS} shards", flush=True)
    wrong = 0
    with tempfile.TemporaryDirectory() as scratch:
        footage = draw_footage(Path(scratch) / "footage", CLIPS)
        for number, mode in enumerate(("exact", "copy")):
            words = [*WORDS, f"pack.mode={mode}"]
            undisturbed, output = Path(scratch) / f"{mode}-alone", Path(scratch) / mode
            Run(footage, undisturbed, words).go([])
            print(f"\npack.mode={mode}")
            print(f"  {'victim':<21} {'phase':<11} {'after':>5} {'begun':>6} {'half-written':>13}  outcome", flush=True)
            started = time.monotonic()
            run = Run(footage, output, words, seed)
            landed = run.go(plan_kills(2 * seed + number, (kills + 1 - number) // 2, CLIPS + 1, SHARDS), tell)
            problems = run.problems + problems_of(output, undisturbed)
            problems += [f"{one.kill}: {MISSED}" for one in landed if one.outcome == MISSED]
            print(f"  the last of the orphans: {run.last_orphan or 'none was seen'}")
            for failure in run.failures:
                print(f"  ended with status 1, started again: {failure}")
            for problem in problems:
                print(f"  WRONG: {problem}")
            verdict = "differs or did something twice" if problems else "byte-identical, nothing lost, nothing twice"
            print(f"  {len(landed)} kills in {time.monotonic() - started:.0f} s: {verdict}", flush=True)
            wrong += len(problems)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
