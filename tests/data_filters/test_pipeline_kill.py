"""A curation killed at any point ends with the same result; `tests/bench/bench_kill.py` kills 20 times."""

from __future__ import annotations

import dataclasses
import threading
import time
from pathlib import Path

import pytest

from framemill.data_filters.ledger.clip_table import ClipTable
from framemill.data_filters.ledger.parts import PARTS, holds_other_sources
from framemill.data_filters.pack.config import PackConfig
from framemill.data_filters.pack.plan import ClipPlan, ShardPlan, plan_clip
from framemill.data_filters.pack.worker import MANIFESTS, ShardWorker
from framemill.data_filters.pipeline import curate
from framemill.data_filters.sources.listing import list_sources
from framemill.data_filters.sources.sidecars import provenance
from framemill.platform.errors import FramemillError
from framemill.platform.frozen_config import claim_output
from framemill.platform.storage import TEMPORARY
from framemill.platform.writer_lock import WriterLock
from tests.support.curation_output import Configure, find_journal_problems, find_problems, read_journal
from tests.support.kill_plan import Kill, draw_footage
from tests.support.killed_run import KilledRun
from tests.support.pool_items import do_item

CLIPS = 8
WORDS = ["pack.samples_per_shard=1", "pack.mode=exact"]
KILLS = [
    Kill("decoder", "measuring", 1),
    Kill("driver, workers stopped", "measuring", 3),
    Kill("worker", "mid-shard", 2),
    Kill("driver", "mid-shard", 6),
]


@pytest.mark.slow
def test_killed_by_every_victim_it_ends_with_the_same_bytes(
    tmp_path: Path, configure: Configure, ray_session: None
) -> None:
    footage = draw_footage(tmp_path / "footage", CLIPS)
    undisturbed, output = tmp_path / "undisturbed", tmp_path / "killed"
    curate(configure(footage, undisturbed, "workers=2", *WORDS))
    run = KilledRun(footage, output, WORDS)
    records = run.run(KILLS)
    assert run.problems + find_problems(output, undisturbed) == []
    assert [record.kill for record in records] == KILLS
    assert all(record.in_flight for record in records), records
    assert records[1].orphans and records[3].orphans and records[3].half_written
    assert {entry["attempt"] for entry in read_journal(output)} >= {1, 2}


def test_the_verdict_sees_what_it_is_there_for() -> None:
    first = [{"event": event, "path": "a", "attempt": 1} for event in ("start", "done")]
    assert find_journal_problems(first) == []
    begun = {"event": "start", "path": "b", "attempt": 2}
    assert find_journal_problems([*first, begun, {**begun, "pid": 2}]) == [], "begun twice is what a kill does"
    for wrong in ({**begun, "path": "a"}, {**begun, "path": "a", "event": "done"}, {**begun, "attempt": 0}):
        assert len(find_journal_problems([*first, wrong])) == 1


def clips_of(path: Path, seconds: float, count: int) -> list[ClipPlan]:
    """Returns plans of consecutive clips that are encoded again."""
    stamp = list_sources(str(path))[0].stamp
    source = {"path": path.name, "source_id": "0" * 64, "width": 854, "height": 480, "fps": 16.0, "caption": ""}
    rows = [
        {
            **source,
            "key": f"clip-{i}",
            "start_s": i * seconds,
            "end_s": (i + 1) * seconds,
            "frames": round(16 * seconds),
            "captions": [],
            "provenance": provenance(),
        }
        for i in range(count)
    ]
    return [plan_clip(clip, str(path), stamp, PackConfig(mode="exact"), []) for clip in ClipTable.of(rows)]


@pytest.fixture
def packing(tmp_path: Path) -> tuple[Path, ShardPlan]:
    """Returns an output and the plan of a shard of eight clips."""
    footage = draw_footage(tmp_path / "footage", 0)
    output = tmp_path / "out"
    (output / MANIFESTS).mkdir(parents=True)
    (output / "shards").mkdir()
    return output, ShardPlan(0, clips_of(footage / "long.mp4", 2.5, 8))


def orphan_of(output: Path) -> ShardWorker:
    with WriterLock(str(output)) as lock:
        return ShardWorker(str(output), lock.token(), 60.0)


def test_an_orphan_begins_no_shard(packing: tuple[Path, ShardPlan]) -> None:
    output, plan = packing
    orphan = orphan_of(output)
    with WriterLock(str(output)), pytest.raises(FramemillError, match="replaced"):
        do_item(orphan, plan.to_json())
    assert not list((output / "shards").iterdir()) and not read_journal(output)


def test_an_orphan_overtaken_in_the_middle_of_a_shard_leaves_nothing(packing: tuple[Path, ShardPlan]) -> None:
    output, plan = packing
    orphan = orphan_of(output)
    ended: list[BaseException] = []

    def work() -> None:
        try:
            do_item(orphan, plan.to_json())
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while not [file for file in (output / "shards").iterdir() if file.name.startswith(TEMPORARY)]:
        assert thread.is_alive()
        time.sleep(0.001)
    with WriterLock(str(output)) as successor:
        assert not list((output / "shards").iterdir()), "what the orphan had half-written is gone"
        thread.join()
        assert len(ended) == 1 and isinstance(ended[0], FramemillError)
        assert not list((output / "shards").iterdir()) and not list((output / MANIFESTS).iterdir())
        shorter = dataclasses.replace(plan, clips=plan.clips[:1])
        assert do_item(ShardWorker(str(output), successor.token(), 60.0), shorter.to_json()).pending == ""


def test_a_file_left_half_written_does_not_bar_the_next_run(
    footage: Path, configure: Configure, tmp_path: Path
) -> None:
    """Killed while writing the first file of a folder: the folder has only the incomplete file."""
    output = tmp_path / "out"
    (output / PARTS).mkdir(parents=True)
    (output / PARTS / f"{TEMPORARY}1-ab").write_bytes(b"half")
    assert not holds_other_sources(str(output), list_sources(str(footage)))
    other = tmp_path / "other"
    other.mkdir()
    (other / f"{TEMPORARY}1-ab").write_bytes(b"half")
    assert claim_output(configure(footage, other), str(other)) is False
    with WriterLock(str(other)):
        assert sorted(file.name for file in other.iterdir()) == ["config.yaml", "work"]
