"""The steps that a pool of workers does: measuring, scoring, packing. Each goes on from what is recorded."""

from __future__ import annotations

from typing import Any

from framemill.data_filters.config import CurateConfig
from framemill.data_filters.filters.registry import score_columns
from framemill.data_filters.from_dataset import find_sources
from framemill.data_filters.ledger.clip_table import ClipTable, MeasuredSources, PartCollector
from framemill.data_filters.ledger.parts import PARTS, clips_schema, holds_others, read_columns
from framemill.data_filters.measure.messages import MeasureSettings
from framemill.data_filters.measure.worker import SourceWorker
from framemill.data_filters.models.registry import actor_count, model_specs, pass_filters, rules_by_stage
from framemill.data_filters.models.score_parts import folder_of, read_scores, score_work, with_scores
from framemill.data_filters.models.worker import ModelWorker
from framemill.data_filters.pack.plan import ShardPlan
from framemill.data_filters.pack.reuse import find_reusable_clips
from framemill.data_filters.pack.worker import MANIFESTS, ShardManifest, ShardWorker, read_manifest
from framemill.data_filters.sources.exclude import exclude_sources
from framemill.data_filters.sources.source import Source
from framemill.platform import storage
from framemill.platform.cluster import worker_count
from framemill.platform.dataset_commit import allow_pending
from framemill.platform.errors import RequestError
from framemill.platform.pools import PoolWorker, finish_all, map_actors
from framemill.platform.writer_lock import LockToken

Row = dict[str, Any]


def measure(config: CurateConfig, found: list[Source], token: LockToken) -> tuple[MeasuredSources, list[Row]]:
    """What is measured of the sources that are not dropped, and the rows of those that are; only sources without a
    part, or changed since, are decoded."""
    # The path of the input is not in the config's digest, so that footage may move: but not become other footage.
    if holds_others(config.output, found):
        raise RequestError(
            f"input={config.input}: output={config.output} holds the measurements of other sources; "
            "choose another output"
        )
    storage.make_dirs(storage.join(config.output, PARTS))
    sources, dropped = exclude_sources(found, config.drop)
    gathered = PartCollector(clips_schema(score_columns(pass_filters(config)), verdicts=False))
    todo = [source for source in sources if not gathered.add(read_columns(config.output, source))]
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
        gathered.add(read_columns(config.output, source))
    return gathered.measured(), dropped


def score(config: CurateConfig, measured: MeasuredSources, token: LockToken) -> MeasuredSources:
    """That with what networks measure of the clips that are not rejected before, one scorer after another."""
    specs = model_specs(config)
    for i, spec in enumerate(specs):
        work = score_work(measured, config.clip.min_seconds, rules_by_stage(config, specs[:i]))
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
            actors=actor_count(config, spec),
            gpus=config.models.gpus if spec.device == "cuda" else 0.0,
        )
        scored = {key: row for one in work for key, row in (read_scores(config.output, spec, one) or {}).items()}
        measured = with_scores(measured, spec, scored)
    return measured


def run(
    config: CurateConfig,
    label: str,
    unit: str,
    worker: type[PoolWorker],
    arguments: Row,
    work: list[str],
    actors: int = 0,
    gpus: float = 0.0,
) -> None:
    """Has the pool do all the work; `actors`: how many it is of, 0: one a worker.

    Raises:
        PendingError: once all else is done, if an item must wait.
    """
    if work:
        results = map_actors(worker, arguments, work, actors or worker_count(config.workers), gpus)
        finish_all(results, label=f"curate: {label}", total=len(work), unit=unit)


def pack(config: CurateConfig, plans: list[ShardPlan], clips: ClipTable, token: LockToken) -> list[ShardManifest]:
    """Packs the shards that are not packed yet; a clip that cannot be packed becomes a failed one."""
    storage.make_dirs(storage.join(config.output, MANIFESTS))
    todo = [one for one in plans if read_manifest(config.output, one) is None]
    if todo:
        datasets = [dataset for dataset in (config.output, config.from_) if dataset]
        todo = find_reusable_clips(todo, datasets, config.pack)
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
