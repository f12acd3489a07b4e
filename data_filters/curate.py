"""The curation job: list, measure, select, caption, pack, commit. Each step goes on from what the output holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from framemill.data_filters.config import CurateConfig
from framemill.platform import storage
from framemill.platform.errors import FramemillError, PendingError, RequestError

if TYPE_CHECKING:
    from framemill.data_filters.ledger import Part
    from framemill.data_filters.pack import ShardPlan
    from framemill.data_filters.shard_worker import ShardManifest
    from framemill.data_filters.sources import Source
    from framemill.data_filters.summary import Summary
    from framemill.platform.storage import LockToken

Row = dict[str, Any]


def curate(config: CurateConfig | None = None, **keys: Any) -> Summary:
    """Curates `config.input` into the dataset `config.output`; the same call goes on where an earlier one stopped.

    An output may grow and shrink: sources that came are measured, those that went leave the new version, and it has
    the bytes of a curation from nothing. Instead of a config it takes the command's keys by name:
    `curate(input=..., output=..., clip={"min_seconds": 1})`; `from_` stands for `from`.

    Raises:
        RequestError: a key that is wrong, no such input, an output that holds another config's result.
        PendingError: something that may still succeed did not; nothing is committed.
        FramemillError: more sources failed than `max_failed` allows.
    """
    from framemill.data_filters import reselect
    from framemill.data_filters.commit import commit
    from framemill.data_filters.models import bands_known, check_models, specs_of
    from framemill.data_filters.report import write_report
    from framemill.data_filters.select import check_conservation, conclude, settle
    from framemill.data_filters.sources import list_sources
    from framemill.platform import cluster
    from framemill.platform.config import compose
    from framemill.platform.frozen import claim_output
    from framemill.platform.shards import finish_commit, held_index
    from framemill.platform.storage import WriterLock

    config = config or compose("curate", CurateConfig, words_of(keys))
    if config.from_:
        config = reselect.inherit(config)
    found = [] if config.from_ else list_sources(config.input, config.limit)
    config = config if config.from_ else check_models(config)
    held_index(config.output)  # refuses a newer format before anything is written
    check_space(config, found)
    claim_output(config, config.output, free=("sources",))
    with WriterLock(config.output) as lock, cluster.session(config.cluster, config.workers):
        finish_commit(config.output)
        if config.from_:
            parts, dropped = reselect.measured(config)
            reselect.require_scores(config, parts)
        else:
            parts, dropped = measure(config, found, lock.token())
            parts = score(config, parts, lock.token())
        found = [part.source for part in parts]
        sources, clips = settle(parts, config.clip.min_seconds, bands_known(config, specs_of(config)))
        sources = sorted([*sources, *dropped], key=lambda source: source["path"])
        check_failures(config, sources)
        write_captions(clips, config.captions)
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
            words.append(f"{prefix}{name.removesuffix('_')}={value if isinstance(value, str) else json.dumps(value)}")
    return words


def check_space(config: CurateConfig, found: list[Source]) -> None:
    """Refuses to start where the disk is far too small."""
    from framemill.data_filters.disk import bytes_free, bytes_needed, check_disk
    from framemill.platform.shards import read_index

    if config.check_disk:
        shards = read_index(config.from_)["shards"] if config.from_ else []
        need = sum(shard["bytes"] for shard in shards) + bytes_needed(found, config.pack.mode)
        check_disk(config.output, need, bytes_free(config.output))


def measure(config: CurateConfig, found: list[Source], token: LockToken) -> tuple[list[Part], list[Row]]:
    """The part of every source that is not dropped, and the rows of those that are; only sources without a part, or
    changed since, are decoded."""
    from framemill.data_filters.drop import drop
    from framemill.data_filters.ledger import PARTS, holds_others, read_part
    from framemill.data_filters.measure_types import MeasureSettings
    from framemill.data_filters.models import pass_filters
    from framemill.data_filters.source_worker import SourceWorker

    # The path of the input is not in the config's digest, so that footage may move: but not become other footage.
    if holds_others(config.output, found):
        raise RequestError(
            f"input={config.input}: output={config.output} holds the measurements of other sources; "
            "choose another output"
        )
    storage.make_dirs(storage.join(config.output, PARTS))
    sources, dropped = drop(found, config.drop)
    parts = {source.path: read_part(config.output, source) for source in sources}
    todo = [source for source in sources if parts[source.path] is None]
    settings = MeasureSettings(
        config.clip.min_seconds,
        config.clip.max_seconds,
        tuple(pass_filters(config)),
        trim_s=config.clip.trim_s,
        screen=config.screen if config.screen.enabled else None,
    )
    arguments = {"output": config.output, "token": token, "settings": settings, "timeout_s": config.source_timeout_s}
    run(config, "measuring", "videos", SourceWorker, arguments, [source.to_json() for source in todo])
    for source in todo:
        parts[source.path] = read_part(config.output, source)
    return [part for part in parts.values() if part is not None], dropped


def score(config: CurateConfig, parts: list[Part], token: LockToken) -> list[Part]:
    """The parts with what networks measure of the clips that are not rejected before, one scorer after another."""
    from framemill.data_filters.model_worker import ModelWorker
    from framemill.data_filters.models import actor_count, bands_known, specs_of
    from framemill.data_filters.scores import folder_of, read_scores, score_work, with_scores

    specs = specs_of(config)
    for i, spec in enumerate(specs):
        work = score_work(parts, config.clip.min_seconds, bands_known(config, specs[:i]))
        storage.make_dirs(folder_of(config.output, spec))
        todo = [one for one in work if read_scores(config.output, spec, one) is None]
        arguments = {"output": config.output, "token": token, "spec": spec, "timeout_s": config.source_timeout_s}
        run(
            config,
            f"scoring {spec.scorer}",
            "videos",
            ModelWorker,
            arguments,
            [one.to_json() for one in todo],
            actors=actor_count(config),
            gpus=config.models.gpus,
        )
        parts = with_scores(parts, spec, {one.source.path: read_scores(config.output, spec, one) or {} for one in work})
    return parts


def run(
    config: CurateConfig,
    label: str,
    unit: str,
    worker: Any,
    arguments: Row,
    work: list[str],
    actors: int = 0,
    gpus: float = 0.0,
) -> None:
    """Has the pool do all the work; `actors`: how many it is of, 0: one a worker.

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
        for result in run_pool(worker, arguments, work, actors or worker_count(config.workers), gpus):
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


def write_captions(clips: list[Row], captioners: list[str]) -> None:
    """Gives each kept clip its caption; the others have none."""
    from framemill.data_filters.captions import caption_of

    for clip in clips:
        clip["caption"] = caption_of(clip, captioners) if clip["state"] == "kept" else None


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
    from framemill.data_filters.earlier import take_over
    from framemill.data_filters.reselect import find_sources
    from framemill.data_filters.shard_worker import MANIFESTS, ShardWorker, read_manifest
    from framemill.platform.shards import allow_pending

    storage.make_dirs(storage.join(config.output, MANIFESTS))
    todo = [one for one in plans if read_manifest(config.output, one) is None]
    if todo:
        datasets = [dataset for dataset in (config.output, config.from_) if dataset]
        todo = take_over(todo, datasets, config.pack)
        todo = find_sources(config, todo) if config.from_ else todo
    allow_pending(config.output, [one.name for one in plans])
    arguments = {"output": config.output, "token": token, "timeout_s": config.source_timeout_s}
    run(config, "packing", "shards", ShardWorker, arguments, [one.to_json() for one in todo])
    manifests = [manifest for one in plans if (manifest := read_manifest(config.output, one)) is not None]
    failed = {key: reason for manifest in manifests for key, reason in manifest.failed.items()}
    for clip in clips:
        if clip["key"] in failed:
            clip["state"], clip["reason"] = "failed", failed[clip["key"]]
    return manifests


def track(config: CurateConfig, summary: Summary) -> None:
    """Records the counts and the dataset's digest in MLflow."""
    from framemill.platform.frozen import result_values
    from framemill.platform.tracking import Tracker

    with Tracker.open(config.tracking, config.output, "curate", {"curate": result_values(config)}) as run_record:
        counts = {f"clips_{state}": float(count) for state, count in summary.clips.items()}
        counts |= {f"sources_{state}": float(count) for state, count in summary.sources.items()}
        run_record.log_metrics({**counts, "hours_found": summary.hours_found, "hours_kept": summary.hours_kept})
        run_record.log_dataset("curated", summary.digest, config.output)
