"""Selecting anew from a ledger of a million clips: CPU seconds of each step and peak memory, without the packing.

usage: python tests/bench/bench_reselect.py [clips; default: 1,000,000] [curate words; default: select=stage_480p]

The ledger is drawn, ten clips a source. The peer is Arrow: reading the two tables and writing them again as they are,
which no selection can do without. Each side runs in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from framemill.data_filters.config import CurateConfig
from framemill.platform.compose import compose
from framemill.platform.dataset import read_ledger

HASHES = 160
"""Bytes of a clip's perceptual hashes: ten frames."""
A_SOURCE = 10
"""Clips of a source."""
SPREAD = {"motion": (0, 60), "saturation": (0, 255), "technical": (0, 1), "black_bars": (0, 0.3)}
"""Least and greatest of a score; of the others 0 and 1."""


def hashes(data: bytes, clips: int) -> list[bytes]:
    """Random ones, so that no clip repeats another."""
    return [data[i * HASHES : (i + 1) * HASHES] for i in range(clips)]


def draw(folder: str, clips: int) -> None:
    """A dataset of which only the ledger is there."""
    from framemill.data_filters.ledger.reasons import REASON_FIELDS
    from framemill.data_filters.ledger.schema import PROVENANCE, SOURCES_SCHEMA, clips_schema
    from framemill.platform.dataset_commit import commit_dataset
    from framemill.platform.frozen_config import digest, freeze

    config = compose("curate", CurateConfig, ["input=/footage", f"output={folder}", "select=all"])
    random = np.random.default_rng(0)
    sources = clips // A_SOURCE
    ids = [f"{i * 2654435761 % 2**64:016x}" * 4 for i in range(sources)]
    paths = [f"disc-{i % 97:02d}/reel-{i:07d}.mp4" for i in range(sources)]
    whose = np.repeat(np.arange(sources), A_SOURCE)
    number = np.tile(np.arange(A_SOURCE), sources)
    start, frames = number * 5.0, random.integers(40, 81, clips)
    columns = {
        "key": [f"{ids[s][:16]}-{n * 81:07d}-{n * 81 + f:07d}" for s, n, f in zip(whose, number, frames, strict=True)],
        "source_id": [ids[s] for s in whose],
        "path": [paths[s] for s in whose],
        "start_s": start,
        "end_s": start + frames / 16,
        "first_frame": number * 81,
        "frames": frames,
        "width": random.choice([640, 1280, 1920], clips),
        "height": random.choice([360, 720, 1080], clips),
        "fps": np.full(clips, 16.0),
        "description": [f"A softly lit, clear wide picture, colour {i % 9973} above; it moves slowly." for i in whose],
        "phashes": hashes(random.bytes(clips * HASHES), clips),
        "sidecar_caption": [None] * clips,
        "state": ["kept"] * clips,
        **{name: [None] * clips for name, _ in REASON_FIELDS},
        "caption": [None] * clips,
    }
    columns |= {name: random.uniform(*SPREAD.get(name, (0, 1)), clips).round(6) for name in config.scores}
    schema = clips_schema(config.scores)
    table = pa.table({field.name: pa.array(columns[field.name], field.type) for field in schema}).sort_by("key")
    provenance = pa.array([{"tags": ["film"], "licence": "CC0", "external": None}] * sources, PROVENANCE)
    facts = {"path": paths, "source_id": ids, "state": ["ok"] * sources, "reason": [None] * sources}
    facts |= {"clips": [A_SOURCE] * sources, "provenance": provenance, "codec": ["h264"] * sources}
    sources_ledger = pa.table(
        {
            field.name: pa.array(facts[field.name], field.type)
            if field.name in facts
            else pa.nulls(sources, field.type)
            for field in SOURCES_SCHEMA
        }
    ).sort_by("path")
    freeze(config, folder)
    samples = pa.table({"key": pa.array([], pa.string())})
    ledger = {"sources": sources_ledger, "clips": table}
    commit_dataset(
        folder, kind="curate", config_digest=digest(config), shards=[], samples=samples, ledger=ledger, totals={}
    )


def copy(folder: str, output: str) -> dict[str, float]:
    """Arrow alone."""
    began = time.process_time()
    for name in ("sources", "clips"):
        pq.write_table(read_ledger(folder, name), f"{output}/{name}.parquet", compression="zstd")
    return {"reading and writing": time.process_time() - began}


def select(folder: str, output: str, words: list[str]) -> dict[str, float]:
    """What `framemill curate from=` does but for starting Ray, and for the workers' packing."""
    from framemill.data_filters import from_dataset
    from framemill.data_filters.captioning import write_captions
    from framemill.data_filters.dedup.duplicates import mark_duplicates
    from framemill.data_filters.ledger.schema import clips_schema
    from framemill.data_filters.ledger.source_row import sources_table
    from framemill.data_filters.ledger.tables import check_conservation
    from framemill.data_filters.pack.plan import plan_shards
    from framemill.data_filters.pipeline import report_settings
    from framemill.data_filters.report import write_report
    from framemill.data_filters.report.summary import summarise
    from framemill.data_filters.select.best import keep_best
    from framemill.data_filters.select.states import build_tables, finish_sources
    from framemill.platform.tables import write_table
    from framemill.platform.writer_lock import LockToken

    steps: dict[str, float] = {}
    began = time.process_time()

    def done(step: str) -> None:
        nonlocal began
        steps[step], began = time.process_time() - began, time.process_time()

    config = from_dataset.inherit_config(
        compose("curate", CurateConfig, [f"from={folder}", f"output={output}", *words])
    )
    done("config")
    measured, _ = from_dataset.read_measured(config)
    done("reading")
    stages = config.rules_by_stage([])
    sources, clips = build_tables(measured, config.clip.min_seconds, stages)
    done("deciding")
    mark_duplicates(config.dedup, clips)
    done("deduplicating")
    keep_best(config.select.best, clips)
    done("the best")
    measured_sources = [part.source for part in measured.parts]
    write_captions(config, measured_sources, clips, LockToken("", 0, ""))
    done("captions")
    plans = plan_shards(clips, measured_sources, config.pack, config.scores)
    names = {plan.name for plan in plans}
    done("planning shards")
    sources = finish_sources(sources, clips)
    check_conservation(sources, clips)
    summary = summarise(output, "", sources, clips)
    done("concluding")
    write_report(report_settings(config, stages), measured.parts, sources, clips)
    done("report")
    write_table(output, "sources.parquet", sources_table(sources))
    write_table(output, "clips.parquet", clips.to_table(clips_schema(config.scores)))
    done("writing")
    print(f"{summary.clips} in {len(names)} shards", file=sys.stderr)
    return steps


def peak_mib() -> float:
    """Of this process since it began, not of the one it was forked from."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmHWM")


def apart(*words: str) -> dict[str, float]:
    command = [sys.executable, __file__, *words]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def main() -> None:
    clips = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    words = sys.argv[2:] or ["select=stage_480p"]
    with tempfile.TemporaryDirectory() as folder:
        dataset, output = f"{folder}/dataset", f"{folder}/out"
        Path(output).mkdir()
        apart("--draw", dataset, str(clips))
        peer = apart("--copy", dataset, output)
        ours = apart("--select", dataset, output, *words)
    print(f"{clips} clips of {clips // A_SOURCE} sources, {' '.join(words)}")
    for name, steps in (("Arrow alone", peer), ("selecting anew", ours)):
        peak = steps.pop("peak")
        step_times = ", ".join(f"{step} {seconds:.1f}" for step, seconds in steps.items())
        print(f"{name:15} {sum(steps.values()):6.1f} CPU s ({step_times}), {peak / 1024:.2f} GiB at most")
    print(f"selecting costs {sum(ours.values()) / sum(peer.values()):.1f} times reading and writing the ledger")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--draw"]:
        draw(sys.argv[2], int(sys.argv[3]))
        print("{}")
    elif sys.argv[1:2] == ["--copy"]:
        print(json.dumps(copy(*sys.argv[2:4]) | {"peak": peak_mib()}))
    elif sys.argv[1:2] == ["--select"]:
        print(json.dumps(select(sys.argv[2], sys.argv[3], sys.argv[4:]) | {"peak": peak_mib()}))
    else:
        main()
