"""Progress of an evaluation, read from its output folder."""

from __future__ import annotations

from framemill.eval.summary import EvaluationSummary
from framemill.platform import storage


def evaluation_status(path: str, names: list[str]) -> list[str]:
    """Returns lines about the progress of an evaluation; an empty list if the folder is not an evaluation's output.

    Args:
        path: the folder, as a path or URI.
        names: names of the files in the folder.
    """
    if "result.json" in names:
        summary = EvaluationSummary.from_json(storage.read_bytes(storage.join(path, "result.json")))
        counts = f"{summary.videos} videos, {len(summary.failed)} failed, {len(summary.missing)} missing"
        scores = [f"{name} {score.score:.4f}" for name, score in summary.scores.items()]
        return [f"evaluated: {counts}; {', '.join(scores) or 'no score'}"]
    ledger = storage.join(path, "ledger")
    records = sum(
        len(storage.read_bytes(storage.join(ledger, name)).splitlines())
        for name in storage.list_dir(ledger)
        if name.endswith(".jsonl")
    )
    return [f"measured: {records} records; the same command goes on from here"] if records else []
