"""The curation job: list, measure, select, caption, pack, commit. Each step goes on from what the output holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from framemill.data_filters.config import CurateConfig
from framemill.platform import storage
from framemill.platform.errors import FramemillError, PendingError, RequestError

if TYPE_CHECKING:
    from framemill.data_filters.pack import ShardPlan
    from framemill.data_filters.shard_worker import ShardManifest
    from framemill.data_filters.sources import Source
    from framemill.data_filters.summary import Summary
    from framemill.platform.storage import LockToken

Row = dict[str, Any]


def curate(config: CurateConfig | None = None, **keys: Any) -> Summary:
    """Curates `config.input` into the dataset `config.output`; the same call goes on where an earlier one stopped.

    Instead of a config it takes the command's keys by name: `curate(input=..., output=..., clip={"min_seconds": 1})`.

    Raises:
        RequestError: a key that is wrong, no such input, an output that holds another config's result.
        PendingError: something that may still succeed did not; nothing is committed.
        FramemillError: more sources failed than `max_failed` allows.
    """
    from framemill.data_filters.captions.ask import check_models, write_captions
    from framemill.data_filters.drop import drop
    from framemill.data_filters.report import write_report
    from framemill.data_filters.select import check_conservation, conclude, settle
    from framemill.data_filters.sources import list_sources
    from framemill.platform import cluster
    from framemill.platform.config import claim_output, compose
    from framemill.platform.storage import WriterLock

    config = config or compose("curate", CurateConfig, words_of(keys))
    found = list_sources(config.input, config.limit)
    check_models(config)
    claim_output(config, config.output)
    with WriterLock(config.output) as lock, cluster.session(config.cluster, config.workers):
        found, dropped = drop(found, config.drop)
        parts = measure(config, found, lock.token())
        sources, clips = settle(parts, config.clip.min_seconds, config.select.bands)
        sources = sorted([*sources, *dropped], key=lambda source: source["path"])
        check_failures(config, sources)
        write_captions(config, found, clips, lock.token())
        plans = plan(config, found, clips)
        manifests = pack(config, plans, clips, lock.token())
        conclude(sources, clips)
        check_conservation(sources, clips)
        lock.token().check()
        write_report(config, found, sources, clips)
        summary = commit(config, sources, clips, plans, manifests)
    track(config, summary)
    return summary


def words_of(keys: dict[str, Any], prefix: str = "") -> list[str]:
    """Keyword arguments as the words of the command line."""
    words: list[str] = []
    for name, value in keys.items():
        if isinstance(value, dict):
            words.extend(words_of(value, f"{prefix}{name}."))
        else:
            words.append(f"{prefix}{name}={value if isinstance(value, str) else json.dumps(value)}")
    return words


def measure(config: CurateConfig, sources: list[Source], token: LockToken) -> list[Any]:
    """The part of every source; only those without one, or changed since, are decoded."""
    from framemill.data_filters.ledger import PARTS, holds_others, read_part
    from framemill.data_filters.measure_types import MeasureSettings
    from framemill.data_filters.source_worker import SourceWorker

    # The path of the input is not in the config's digest, so that footage may move: but not become other footage.
    if holds_others(config.output, sources):
        raise RequestError(
            f"input={config.input}: output={config.output} holds the measurements of other sources; "
            "choose another output"
        )
    storage.make_dirs(storage.join(config.output, PARTS))
    parts = {source.path: read_part(config.output, source) for source in sources}
    todo = [source for source in sources if parts[source.path] is None]
    settings = MeasureSettings(config.clip.min_seconds, config.clip.max_seconds, tuple(config.filters))
    arguments = {"output": config.output, "token": token, "settings": settings, "timeout_s": config.source_timeout_s}
    run(config, "measuring", "videos", SourceWorker, arguments, [source.to_json() for source in todo])
    for source in todo:
        parts[source.path] = read_part(config.output, source)
    return list(parts.values())


def run(config: CurateConfig, label: str, unit: str, worker: Any, arguments: Row, work: list[str]) -> None:
    """Has the pool do all the work.

    Raises:
        PendingError: once all else is done, if an item must wait.
    """
    from framemill.data_filters.pool import run_pool
    from framemill.platform.cluster import worker_count
    from framemill.platform.progress import progress

    if not work:
        return
    waiting: list[str] = []
    with progress(f"curate: {label}", len(work), unit) as bar:
        for result in run_pool(worker, arguments, work, worker_count(config.workers)):
            if result["waits"]:
                waiting.append(f"{result['name']}: {result['waits']}")
            bar.advance(1)
    if waiting:
        more = f" (and {len(waiting) - 1} more)" if len(waiting) > 1 else ""
        raise PendingError(f"curate: {min(waiting)}{more}; the same command tries again")


def check_failures(config: CurateConfig, sources: list[Row]) -> None:
    failed = [source for source in sources if source["state"] == "failed"]
    if len(failed) > config.max_failed * len(sources):
        raise FramemillError(
            f"curate: {len(failed)} of {len(sources)} sources failed, more than max_failed="
            f"{config.max_failed:g} allows; the first: {failed[0]['path']}: {failed[0]['reason']}"
        )


def plan(config: CurateConfig, sources: list[Source], clips: list[Row]) -> list[ShardPlan]:
    """The shards of the kept clips."""
    from framemill.data_filters.filters import score_columns
    from framemill.data_filters.pack import plan_clip, plan_shards

    where = {source.path: source for source in sources}
    scores = score_columns(config.filters)
    planned = [
        plan_clip(clip, where[clip["path"]].uri, where[clip["path"]].stamp, config.pack, scores)
        for clip in clips
        if clip["state"] == "kept"
    ]
    return plan_shards(planned, config.pack.samples_per_shard)


def pack(config: CurateConfig, plans: list[ShardPlan], clips: list[Row], token: LockToken) -> list[ShardManifest]:
    """Packs the shards that are not packed yet; a clip that cannot be packed becomes a failed one."""
    from framemill.data_filters.shard_worker import MANIFESTS, ShardWorker, read_manifest

    storage.make_dirs(storage.join(config.output, MANIFESTS))
    todo = [one for one in plans if read_manifest(config.output, one) is None]
    arguments = {"output": config.output, "token": token, "timeout_s": config.source_timeout_s}
    run(config, "packing", "shards", ShardWorker, arguments, [one.to_json() for one in todo])
    manifests = [manifest for one in plans if (manifest := read_manifest(config.output, one)) is not None]
    failed = {key: reason for manifest in manifests for key, reason in manifest.failed.items()}
    for clip in clips:
        if clip["key"] in failed:
            clip["state"], clip["reason"] = "failed", failed[clip["key"]]
    return manifests


def commit(
    config: CurateConfig, sources: list[Row], clips: list[Row], plans: list[ShardPlan], manifests: list[ShardManifest]
) -> Summary:
    """Writes the tables and, last, the index."""
    import dataclasses

    import pyarrow as pa

    from framemill.data_filters.filters import score_columns
    from framemill.data_filters.ledger import SOURCES_SCHEMA, clips_schema
    from framemill.data_filters.summary import summarise
    from framemill.platform.config import digest
    from framemill.platform.shards import commit_dataset

    kept = {clip["key"]: clip for clip in clips if clip["state"] == "kept"}
    cuts = {key: cut for manifest in manifests for key, cut in manifest.cuts.items()}
    scores = score_columns(config.filters)
    samples = [
        {
            "key": one.key,
            "bucket": "{frames}x{height}x{width}".format_map(cuts[one.key]),
            **cuts[one.key],
            "caption": one.caption,
            "captions": one.facts["captions"],
            **{name: kept[one.key][name] for name in scores},
        }
        for shard in plans
        for one in shard.clips
        if one.key in kept
    ]
    summary = summarise(config.output, "", sources, clips)
    index = commit_dataset(
        config.output,
        kind="curate",
        config_digest=digest(config),
        shards=[manifest.info for manifest in manifests if manifest.info.samples],
        samples=pa.Table.from_pylist(samples, samples_schema(scores)),
        ledger={
            "sources": pa.Table.from_pylist(sources, SOURCES_SCHEMA),
            "clips": pa.Table.from_pylist(clips, clips_schema(config.filters)),
        },
        totals=summary.totals(),
    )
    return dataclasses.replace(summary, digest=index["digest"])


def samples_schema(scores: list[str]) -> Any:
    """Columns of samples.parquet but those that say where a sample lies."""
    import pyarrow as pa

    text, whole, real = pa.string(), pa.int64(), pa.float64()
    fixed = [
        ("key", text),
        ("bucket", text),
        ("width", whole),
        ("height", whole),
        ("frames", whole),
        ("fps", real),
        ("duration", real),
        ("in_s", real),
        ("out_s", real),
        ("caption", text),
        ("captions", pa.list_(pa.struct([("source", text), ("text", text), ("weight", real)]))),
    ]
    return pa.schema([*fixed, *((name, real) for name in scores)])


def track(config: CurateConfig, summary: Summary) -> None:
    """Records the counts and the dataset's digest in MLflow."""
    from framemill.platform.config import result_values
    from framemill.platform.tracking import Tracker

    with Tracker.open(config.tracking, config.output, "curate", {"curate": result_values(config)}) as run_record:
        counts = {f"clips_{state}": float(count) for state, count in summary.clips.items()}
        counts |= {f"sources_{state}": float(count) for state, count in summary.sources.items()}
        run_record.log_metrics({**counts, "hours_found": summary.hours_found, "hours_kept": summary.hours_kept})
        run_record.log_dataset("curated", summary.digest, config.output)
