"""The stages that pools of Ray workers carry out: measuring, scoring, packing. Each resumes from recorded results."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from framemill.data_filters.config import CurateConfig
from framemill.data_filters.filters.motion_units import MOTION_COLUMNS
from framemill.data_filters.filters.registry import score_columns
from framemill.data_filters.from_dataset import find_sources
from framemill.data_filters.ledger.clip_table import ClipTable, with_column
from framemill.data_filters.ledger.measured import MeasuredSources, PartCollector
from framemill.data_filters.ledger.parts import PARTS, holds_other_sources, read_part
from framemill.data_filters.ledger.schema import clips_schema
from framemill.data_filters.ledger.source_row import SourceRow, excluded_row
from framemill.data_filters.measure.describe import with_movement
from framemill.data_filters.measure.messages import MeasureSettings
from framemill.data_filters.measure.worker import SourceWorker
from framemill.data_filters.models.plan import actor_count
from framemill.data_filters.models.score_parts import read_scores, score_work, scores_folder, with_scores
from framemill.data_filters.models.worker import ModelWorker
from framemill.data_filters.pack.config import PackConfig
from framemill.data_filters.pack.plan import ShardPlan
from framemill.data_filters.pack.reuse import find_reusable_clips
from framemill.data_filters.pack.worker import MANIFESTS, ShardManifest, ShardWorker, read_manifest
from framemill.data_filters.select.join import join_scores
from framemill.data_filters.select.states import build_tables
from framemill.data_filters.sources.exclude import exclude_sources
from framemill.data_filters.sources.source import Source
from framemill.platform import storage
from framemill.platform.cluster import worker_count
from framemill.platform.dataset_commit import allow_pending
from framemill.platform.dataset_format import committed_index
from framemill.platform.errors import RequestError
from framemill.platform.frozen_config import load_frozen
from framemill.platform.pools import PoolWorker, finish_all, map_actors
from framemill.platform.writer_lock import LockToken


def measure_and_score(
    config: CurateConfig, sources: Sequence[Source], token: LockToken
) -> tuple[MeasuredSources, list[SourceRow]]:
    """Returns the measurements of the sources that are not excluded, and the ledger rows of the excluded sources.

    Raises:
        RequestError: the output holds the measurements of another input.
        PendingError: a source could not be read now and may be readable later.
    """
    measured, excluded = _measure(config, list(sources), token)
    return _score(config, join_scores(config.join, measured), token), excluded


def _measure(config: CurateConfig, sources: list[Source], token: LockToken) -> tuple[MeasuredSources, list[SourceRow]]:
    """Runs the decode pass over sources that are not measured yet or have changed; returns all measurements."""
    # The config's digest leaves out the path of the input, so that footage may be moved: check that it is the same.
    if holds_other_sources(config.output, sources):
        raise RequestError(
            f"input={config.input}: output={config.output} holds the measurements of other sources; "
            "choose another output"
        )
    storage.make_dirs(storage.join(config.output, PARTS))
    sources, excluded = exclude_sources(sources, config.drop)
    filters = config.pass_filters
    collector = PartCollector(clips_schema(score_columns(filters), states=False))
    todo = [source for source in sources if not collector.add(read_part(config.output, source))]
    limits = config.screen if config.screen.enabled else None
    settings = MeasureSettings(
        config.clip.min_seconds,
        config.clip.max_seconds,
        tuple(filters),
        trim_s=config.clip.trim_s,
        keyframe_prefilter=limits,
    )
    arguments = {"output": config.output, "token": token, "settings": settings, "timeout_s": config.source_timeout_s}
    items = [source.to_json() for source in todo]
    _run_pool("measuring", "videos", SourceWorker, arguments, items, worker_count(config.workers))
    for source in todo:
        collector.add(read_part(config.output, source))
    return collector.measured(), [excluded_row(one.path, one.provenance, one.exclusion) for one in excluded]


def _score(config: CurateConfig, measured: MeasuredSources, token: LockToken) -> MeasuredSources:
    """Returns the measurements with the scores of all networks added, one scorer after another.

    Each scorer skips the clips that the decode pass or an earlier scorer rejects.
    """
    specs = config.model_specs
    for i, spec in enumerate(specs):
        rules = config.rules_by_stage(specs[:i])
        clips = build_tables(measured, config.clip.min_seconds, rules)[1]
        work = score_work([part.source for part in measured.parts], clips)
        storage.make_dirs(scores_folder(config.output, spec))
        arguments = {"output": config.output, "token": token, "spec": spec, "timeout_s": config.source_timeout_s}
        items = [one.to_json() for one in work if read_scores(config.output, spec, one) is None]
        actors = actor_count(spec, config.models, worker_count(config.workers))
        gpus = config.models.gpus if spec.device == "cuda" else 0.0
        _run_pool(f"scoring {spec.scorer}", "videos", ModelWorker, arguments, items, actors, gpus)
        scored = {key: row for one in work for key, row in (read_scores(config.output, spec, one) or {}).items()}
        measured = with_scores(measured, spec, scored)
        if set(MOTION_COLUMNS) <= set(spec.columns):
            measured = dataclasses.replace(measured, clips=_with_movement(measured.clips))
    return measured


def _with_movement(clips: pa.Table) -> pa.Table:
    """Returns the clips with the movement that a network measured added to their descriptions."""
    columns = [clips[name].to_pylist() for name in ("description", *MOTION_COLUMNS)]
    sentences = [
        sentence if values[0] is None else with_movement(sentence, dict(zip(MOTION_COLUMNS, values, strict=True)))
        for sentence, *values in zip(*columns, strict=True)
    ]
    return with_column(clips, "description", pa.array(sentences, pa.string()))


def pack(config: CurateConfig, plans: Sequence[ShardPlan], clips: ClipTable, token: LockToken) -> list[ShardManifest]:
    """Packs the shards that are not packed yet, and returns the manifests of all shards.

    A clip that cannot be packed gets the state "failed".

    Raises:
        RequestError: with `from`, a source to cut clips from is not in `input`.
        PendingError: a source could not be read now and may be readable later.
    """
    storage.make_dirs(storage.join(config.output, MANIFESTS))
    todo = [plan for plan in plans if read_manifest(config.output, plan) is None]
    if todo:
        todo = find_reusable_clips(todo, _earlier_packs(config), config.pack)
        todo = find_sources(config, todo) if config.from_ else todo
    allow_pending(config.output, [plan.name for plan in plans])
    arguments = {"output": config.output, "token": token, "timeout_s": config.source_timeout_s}
    items = [plan.to_json() for plan in todo]
    _run_pool("packing", "shards", ShardWorker, arguments, items, worker_count(config.workers))
    manifests = [manifest for plan in plans if (manifest := read_manifest(config.output, plan)) is not None]
    failed = {key: reason for manifest in manifests for key, reason in manifest.failed.items()}
    for clip in clips:
        if reason := failed.get(clip.key):
            clip.reject("failed", reason)
    return manifests


def _earlier_packs(config: CurateConfig) -> list[tuple[str, PackConfig]]:
    """Returns the committed datasets whose packed clips may be reused, each with its `pack` section."""
    datasets = [dataset for dataset in (config.output, config.from_) if dataset and committed_index(dataset)]
    return [(dataset, load_frozen(CurateConfig, storage.join(dataset, "config.yaml")).pack) for dataset in datasets]


def _run_pool(
    label: str,
    unit: str,
    worker: type[PoolWorker],
    arguments: dict[str, Any],
    items: Sequence[str],
    actors: int,
    gpus: float = 0.0,
) -> None:
    """Processes all items in a pool of actors, and shows a progress bar.

    Raises:
        PendingError: an item is pending; the error is raised after all other items are done.
    """
    if items:
        results = map_actors(worker, arguments, items, actors, gpus)
        finish_all(results, label=f"curate: {label}", total=len(items), unit=unit)
