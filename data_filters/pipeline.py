"""The curation job: list, measure, select, dedup, caption, pack, commit. Each goes on from what the output holds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from framemill.data_filters.config import CurateConfig
from framemill.platform.errors import FramemillError

if TYPE_CHECKING:
    from framemill.data_filters.ledger.clip_table import ClipTable
    from framemill.data_filters.ledger.source_row import SourceRow
    from framemill.data_filters.pack.plan import ShardPlan
    from framemill.data_filters.report.figures import Figures
    from framemill.data_filters.report.page import ReportSettings
    from framemill.data_filters.report.summary import CurateResult
    from framemill.data_filters.select.bounds import Stage
    from framemill.data_filters.sources.source import Source


def curate(config: CurateConfig | None = None, **keys: Any) -> CurateResult:
    """Curates `config.input` into the dataset `config.output`; the same call goes on where an earlier one stopped.

    With `calibrate` it ends where the bounds are known to be right or wrong: nothing is captioned or packed.

    An output may grow and shrink: sources that came are measured, those that went leave the new version, and it has
    the bytes of a curation from nothing. Instead of a config it takes the command's keys by name:
    `curate(input=..., output=..., clip={"min_seconds": 1})`; `from_` stands for `from`.

    Raises:
        RequestError: a key that is wrong, no such input, an output that holds another config's result.
        PendingError: something that may still succeed did not; nothing is committed.
        FramemillError: more sources failed than `max_failed` allows.
    """
    from framemill.data_filters import from_dataset
    from framemill.data_filters.calibrate import calibrate
    from framemill.data_filters.captions.captioning import check_captioners, write_captions
    from framemill.data_filters.commit import commit
    from framemill.data_filters.dedup.duplicates import mark_duplicates
    from framemill.data_filters.ledger.tables import check_conservation
    from framemill.data_filters.models.registry import check_models, model_specs, rules_by_stage
    from framemill.data_filters.report import write_report
    from framemill.data_filters.select.best import keep_best
    from framemill.data_filters.select.join import join_scores, pin_join_file
    from framemill.data_filters.select.states import build_tables, finish_sources
    from framemill.data_filters.sources.listing import list_sources
    from framemill.data_filters.stages import measure, pack, score
    from framemill.platform import cluster
    from framemill.platform.compose import resolve
    from framemill.platform.dataset_commit import finish_commit
    from framemill.platform.dataset_format import committed_index
    from framemill.platform.frozen_config import claim_output, freeze
    from framemill.platform.tracking import prepare_tracking
    from framemill.platform.writer_lock import WriterLock

    config = resolve("curate", CurateConfig, config, keys)
    if config.from_:
        config = from_dataset.inherit_config(config)
    found = [] if config.from_ else list_sources(config.input, config.limit)
    config = config if config.from_ else check_models(config)
    config = replace(config, join=pin_join_file(config.join))
    check_captioners(config)
    # Refuses a newer format before anything is written. Until something is committed, any selection may be made.
    free = ("sources",) if committed_index(config.output) else ("sources", "selection")
    check_space(config, found)
    claim_output(config, config.output, free)
    prepare_tracking(config.tracking, config.output)
    with WriterLock(config.output) as lock, cluster.session(config.cluster, config.workers):
        finish_commit(config.output)
        if committed_index(config.output):  # it may have become one just now, of another selection
            claim_output(config, config.output, free=("sources",))
        else:
            freeze(config, config.output)
        if config.from_:
            measured, dropped = from_dataset.read_measured(config)
            measured = join_scores(config.join, measured)
            from_dataset.require_scores(config, measured)
        else:
            measured, dropped = measure(config, found, lock.token())
            measured = score(config, join_scores(config.join, measured), lock.token())
        found = [part.source for part in measured.parts]
        stages = rules_by_stage(config, model_specs(config))
        sources, clips = build_tables(measured, config.clip.min_seconds, stages)
        sources = sorted([*sources, *dropped], key=lambda source: source.path)
        check_failures(config, sources)
        mark_duplicates(config.dedup, clips)
        keep_best(config.select.best, clips)
        if config.calibrate:
            return calibrate(config, measured, stages, sources, clips)
        write_captions(config, found, clips, lock.token())
        plans = plan(config, found, clips)
        manifests = pack(config, plans, clips, lock.token())
        sources = finish_sources(sources, clips)
        check_conservation(sources, clips)
        lock.token().check()
        figures = write_report(report_settings(config, stages), measured.parts, sources, clips)
        summary = commit(config, sources, clips, plans, manifests)
    track(config, summary, figures)
    return summary


def check_space(config: CurateConfig, found: list[Source]) -> None:
    """Refuses to start where the disk is far too small."""
    from framemill.data_filters.sources.disk_space import bytes_free, bytes_needed, check_disk
    from framemill.platform.dataset_format import read_index

    if config.check_disk:
        shards = read_index(config.from_)["shards"] if config.from_ else []
        need = sum(shard["bytes"] for shard in shards) + bytes_needed(found, config.pack.mode)
        check_disk(config.output, need, bytes_free(config.output))


def check_failures(config: CurateConfig, sources: list[SourceRow]) -> None:
    failed = [source for source in sources if source.state == "failed"]
    if len(failed) > config.max_failed * len(sources):
        raise FramemillError(
            f"curate: {len(failed)} of {len(sources)} sources failed, more than max_failed="
            f"{config.max_failed:g} allows; the first: {failed[0].path}: {failed[0].reason}"
        )


def plan(config: CurateConfig, sources: list[Source], clips: ClipTable) -> list[ShardPlan]:
    """The shards of the kept clips."""
    from framemill.data_filters.pack.plan import ClipPlan, ClipPlans, plan_clip, plan_shards

    where = {source.path: source for source in sources}

    def planned(row: int) -> ClipPlan:
        clip = clips[row]
        source = where[clip.path]
        return plan_clip(clip, source.uri, source.stamp, config.pack, config.scores)

    kept = [row for row, state in enumerate(clips.column("state")) if state == "kept"]
    return plan_shards(ClipPlans(planned, kept), config.pack.samples_per_shard)


def report_settings(config: CurateConfig, stages: list[Stage]) -> ReportSettings:
    """What the report shows of the config."""
    from framemill.data_filters.from_dataset import measured_dataset
    from framemill.data_filters.report.page import ReportSettings
    from framemill.platform.frozen_config import digest

    return ReportSettings(
        config.output,
        digest(config),
        measured_dataset(config),
        config.scores,
        config.select.bands,
        config.clip.min_seconds,
        stages,
    )


def track(config: CurateConfig, summary: CurateResult, figures: Figures) -> None:
    """Records the counts, the report's figures and the dataset's digest in MLflow."""
    from framemill.data_filters.report import record_report
    from framemill.platform.frozen_config import result_values
    from framemill.platform.tracking import Tracker

    with Tracker.open(config.tracking, config.output, "curate", {"curate": result_values(config)}) as run_record:
        counts = {f"clips_{state}": float(count) for state, count in summary.clips.items()}
        counts |= {f"sources_{state}": float(count) for state, count in summary.sources.items()}
        run_record.log_metrics({**counts, "hours_found": summary.hours_found, "hours_kept": summary.hours_kept})
        record_report(run_record, config.output, figures)
        run_record.log_dataset("curated", summary.digest, config.output)
