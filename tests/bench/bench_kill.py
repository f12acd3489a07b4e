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

from tests.support.curation_output import find_problems
from tests.support.kill_plan import LONG_SCENES, KillRecord, draw_footage, plan_kills
from tests.support.killed_run import MISSED, KilledRun

CLIPS = 24
SHARDS = (CLIPS + LONG_SCENES) // 2
WORDS = ["pack.samples_per_shard=2"]


def print_record(record: KillRecord) -> None:
    """Prints a row of the table."""
    orphans = f"; {record.orphans} orphans at the restart" if record.orphans else ""
    kill = record.kill
    print(
        f"  {kill.victim:<23} {kill.phase:<11} {kill.after:>5} {record.in_flight:>6} {record.half_written:>13}"
        f"  {record.outcome}{orphans}",
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
            KilledRun(footage, undisturbed, words).run([])
            print(f"\npack.mode={mode}")
            print(f"  {'victim':<23} {'phase':<11} {'after':>5} {'begun':>6} {'half-written':>13}  outcome", flush=True)
            started = time.monotonic()
            run = KilledRun(footage, output, words, seed)
            plan = plan_kills(2 * seed + number, (kills + 1 - number) // 2, CLIPS + 1, SHARDS)
            records = run.run(plan, print_record)
            problems = run.problems + find_problems(output, undisturbed)
            problems += [f"{record.kill}: {MISSED}" for record in records if record.outcome == MISSED]
            print(f"  the last of the orphans: {run.last_orphan or 'none was seen'}")
            for failure in run.failures:
                print(f"  ended with status 1, started again: {failure}")
            for problem in problems:
                print(f"  WRONG: {problem}")
            outcome = "differs or did something twice" if problems else "byte-identical, nothing lost, nothing twice"
            print(f"  {len(records)} kills in {time.monotonic() - started:.0f} s: {outcome}", flush=True)
            wrong += len(problems)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
