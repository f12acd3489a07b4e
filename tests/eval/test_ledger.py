"""The ledger reads what earlier runs and earlier versions wrote, drops what is stale, and is compacted to one file."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from framemill.eval import EvaluationSummary, evaluate
from framemill.eval.ledger import EvaluationLedger
from framemill.eval.suites import EvaluationPlan, plan_evaluation
from framemill.platform.writer_lock import WriterLock

FIXTURE = Path(__file__).parent / "made_by_b1a88d6"
"""Videos and output of `framemill evaluate videos=videos output=scores`, run by commit b1a88d6."""
KEYS = {(name, "temporal_flickering") for name in ("a cat-0.mp4", "a dog-0.mp4", "broken.mp4")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIXTURE, tmp_path / "copy"))


@pytest.fixture
def plan(folder: Path) -> EvaluationPlan:
    return plan_evaluation("custom", str(folder / "videos"), "", 5)


def open_ledger(folder: Path) -> EvaluationLedger:
    with WriterLock(str(folder / "scores")) as lock:
        return EvaluationLedger(str(folder / "scores"), lock.token())


def test_an_output_of_b1a88d6_is_resumed(folder: Path) -> None:
    scores = folder / "scores"
    before = {name: (scores / name).read_bytes() for name in ("config.yaml", "ledger/records.jsonl", "result.json")}
    result = evaluate(videos=str(folder / "videos"), output=str(scores))
    assert result.measured_now == 0
    assert {name: (scores / name).read_bytes() for name in before} == before
    assert EvaluationSummary.from_json(before["result.json"]) == result.summary


def test_parts_of_b1a88d6_are_compacted_in_the_order_of_the_plan(folder: Path, plan: EvaluationPlan) -> None:
    records = folder / "scores" / "ledger" / "records.jsonl"
    before = records.read_bytes()
    for number, line in enumerate(reversed(before.splitlines(keepends=True))):
        records.with_name(f"part-{number:06d}.jsonl").write_bytes(line)
    records.unlink()
    ledger = open_ledger(folder)
    ledger.drop_stale(str(folder / "videos"), plan)
    assert set(ledger.records) == KEYS
    ledger.compact(plan)
    assert [(path.name, path.read_bytes()) for path in records.parent.iterdir()] == [(records.name, before)]


def test_stale_records_are_dropped(folder: Path, plan: EvaluationPlan) -> None:
    cat, dog, broken = plan.videos
    (folder / "videos" / cat.name).write_bytes(b"other bytes")
    ledger = open_ledger(folder)
    assert set(ledger.records) == KEYS
    ledger.drop_stale(str(folder / "videos"), EvaluationPlan((cat, replace(dog, prompt="a dog that runs"), broken)))
    assert set(ledger.records) == {("broken.mp4", "temporal_flickering")}


@pytest.mark.parametrize("change", [{"version": 0, "result": {"score": 0.5}}, {"dimension": "scene"}])
def test_records_of_other_code_are_not_read(folder: Path, change: dict[str, object]) -> None:
    path = folder / "scores" / "ledger" / "records.jsonl"
    first, *others = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps(json.loads(first) | change), *others]))
    assert set(open_ledger(folder).records) == KEYS - {("a cat-0.mp4", "temporal_flickering")}
