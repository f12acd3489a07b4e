"""What lies in a job's output, read from the files that every job leaves there."""

from __future__ import annotations

import json

from framemill.platform import storage
from framemill.platform.dataset_commit import pending_shards
from framemill.platform.dataset_format import read_index
from framemill.platform.errors import RequestError


def status_lines(path: str) -> list[str]:
    """How far the work in a folder is, one line for each thing found.

    Raises:
        RequestError: nothing in the folder was made by a job.
    """
    names = storage.list_dir(path)
    if not names:
        raise RequestError(f"path={path}: no such folder, or an empty one")
    lines = dataset_lines(path, names) + run_lines(path, names) + result_lines(path, names)
    for name in names:
        if storage.exists(storage.join(path, name, "config.yaml")):
            lines.extend(f"{name}: {line}" for line in status_lines(storage.join(path, name)))
    if not lines and "config.yaml" not in names:
        raise RequestError(f"path={path}: holds nothing that a job made")
    return lines or ["started: nothing is finished yet; the same command goes on from here"]


def dataset_lines(path: str, names: list[str]) -> list[str]:
    if "index.json" in names:
        index = read_index(path)
        samples = sum(shard["samples"] for shard in index["shards"])
        told = f"dataset {index['digest']} complete: {samples} samples in {len(index['shards'])} shards"
        growing = pending_shards(path) - {shard["name"] for shard in index["shards"]}
        later = ["a new version is not yet committed; the same command goes on from here"] if growing else []
        return [told, *version_lines(path, names), *later]
    lines = []
    parts, shards = storage.join(path, "work", "parts"), storage.join(path, "shards")
    if count := len([name for name in storage.list_dir(parts) if not name.startswith(".")]):
        lines.append(f"measured: {count} sources; the same command goes on from here")
    scores = storage.join(path, "work", "scores")
    for scorer in storage.list_dir(scores):
        count = len([name for name in storage.list_dir(storage.join(scores, scorer)) if not name.startswith(".")])
        lines.append(f"scored by {scorer}: {count} sources; the same command goes on from here")
    if count := len([name for name in storage.list_dir(shards) if name.endswith(".tar")]):
        lines.append(f"packed: {count} shards, not yet committed; the same command goes on from here")
    return lines


def version_lines(path: str, names: list[str]) -> list[str]:
    """What came and went with each version of a dataset, where there is more than one."""
    if "versions.jsonl" not in names:
        return []
    versions = [json.loads(line) for line in storage.read_bytes(storage.join(path, "versions.jsonl")).splitlines()]
    return [
        f"version {one['version']}: {one['digest']}, {one['clips']} clips "
        f"(+{one['clips_came']} -{one['clips_went']}) of {one['sources']} sources "
        f"(+{one['sources_came']} -{one['sources_went']})"
        for one in versions
        if len(versions) > 1
    ]


def run_lines(path: str, names: list[str]) -> list[str]:
    lines = []
    if "metrics.jsonl" in names:
        steps = [record for record in metric_records(path) if "loss" in record]
        if steps:
            lines.append(
                f"training: step {steps[-1]['step']} of stage {steps[-1]['stage']}, loss {steps[-1]['loss']:.4f}"
            )
    if "latest" in names:
        checkpoint = storage.read_bytes(storage.join(path, "latest")).decode().strip()
        lines.append(f"latest checkpoint: {checkpoint}")
    if "export" in names:
        lines.append("training complete: the model is in export/")
    return lines


def metric_records(path: str) -> list[dict]:
    """The whole lines of a run's metrics.jsonl; the last one may still be being written."""
    records = []
    for line in storage.read_bytes(storage.join(path, "metrics.jsonl")).decode().splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            break
    return records


def result_lines(path: str, names: list[str]) -> list[str]:
    lines = []
    videos = [name for name in storage.list_dir(storage.join(path, "videos")) if name.endswith(".mp4")]
    videos += [name for name in names if name.endswith(".mp4")]
    if videos:
        complete = "videos.jsonl" in names or "videos.jsonl" in storage.list_dir(storage.join(path, "videos"))
        lines.append(f"generated: {len(videos)} videos{', complete' if complete else '; the same command goes on'}")
    if "result.json" in names:
        lines.append("evaluated: see result.json")
    return lines
