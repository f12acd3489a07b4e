"""The curation job: list, measure, select, deduplicate, caption, pack, commit. Each stage resumes from its records."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from framemill.data_filters import from_dataset
from framemill.data_filters.calibrate import calibrate
from framemill.data_filters.captioning import check_captioners, write_captions
from framemill.data_filters.commit import commit
from framemill.data_filters.config import CurateConfig
from framemill.data_filters.dedup.duplicates import mark_duplicates
from framemill.data_filters.ledger.source_row import SourceRow
from framemill.data_filters.ledger.tables import check_conservation
from framemill.data_filters.models.plan import check_gpus, try_networks, with_digests
from framemill.data_filters.pack.plan import plan_shards
from framemill.data_filters.report import record_report, write_report
from framemill.data_filters.report.figures import Figures
from framemill.data_filters.report.page import ReportSettings
from framemill.data_filters.report.summary import CurateResult
from framemill.data_filters.select.best import keep_best
from framemill.data_filters.select.bounds import Stage
from framemill.data_filters.select.join import check_join, with_join_digest
from framemill.data_filters.select.states import build_tables, finish_sources
from framemill.data_filters.sources.disk_space import bytes_free, bytes_needed, check_disk
from framemill.data_filters.sources.listing import list_sources
from framemill.data_filters.sources.source import Source
from framemill.data_filters.stages import measure_and_score, pack
from framemill.platform import cluster
from framemill.platform.compose import resolve
from framemill.platform.dataset_commit import finish_commit
from framemill.platform.dataset_format import committed_index, read_index
from framemill.platform.errors import FramemillError
from framemill.platform.frozen_config import claim_output, digest, freeze, result_values
from framemill.platform.tracking import Tracker, prepare_tracking
from framemill.platform.writer_lock import LockToken, WriterLock


def curate(config: CurateConfig | None = None, **keys: Any) -> CurateResult:
    """Curates the videos of `input` into the dataset `output`; the same call resumes a curation that was stopped.

    An output may grow and shrink: sources that were added are measured, those that are gone leave the new version, and
    its bytes are those of a curation from nothing. With `calibrate` the job ends once the bounds are known: nothing is
    captioned or packed.

    Args:
        config: the whole config; or
        **keys: the command's keys, as in `curate(input=..., output=..., clip={"min_seconds": 1})`; `from_` stands for
            `from`.

    Raises:
        RequestError: a wrong key, no such input, or an output that holds another config's result.
        PendingError: something that may still succeed did not; nothing is committed.
        FramemillError: more sources failed than `max_failed` allows.
    """
    config = _completed(resolve("curate", CurateConfig, config, keys))
    sources = [] if config.from_ else list_sources(config.input, config.limit)
    _check(config, sources)
    with open_output(config) as token:
        measured, excluded = (
            from_dataset.read_scores_of(config) if config.from_ else measure_and_score(config, sources, token)
        )
        sources = [part.source for part in measured.parts]
        rules = config.rules_by_stage(config.model_specs)
        source_rows, clips = build_tables(measured, config.clip.min_seconds, rules)
        source_rows = sorted([*source_rows, *excluded], key=lambda row: row.path)
        _check_failures(source_rows, config.max_failed)
        mark_duplicates(config.dedup, clips)
        keep_best(config.select.best, clips)
        if config.calibrate:
            return calibrate(config, measured, rules, source_rows, clips)
        write_captions(config, sources, clips, token)
        plans = plan_shards(clips, sources, config.pack, config.scores)
        manifests = pack(config, plans, clips, token)
        source_rows = finish_sources(source_rows, clips)
        check_conservation(source_rows, clips)
        token.check()
        figures = write_report(report_settings(config, rules), measured.parts, source_rows, clips)
        result = commit(config, source_rows, clips, plans, manifests)
    _track(config, result, figures)
    return result


@contextlib.contextmanager
def open_output(config: CurateConfig) -> Iterator[LockToken]:
    """Opens the output of a curation for writing, with Ray: one writer, one config, no half-made commit.

    Until something is committed any selection may be made of what was measured; after that the output's selection is
    fixed, and only its sources may change.

    Raises:
        RequestError: the output holds another config's result, has a newer format, or is being written.
    """
    free = ("sources",) if committed_index(config.output) else ("sources", "selection")
    claim_output(config, config.output, free)
    prepare_tracking(config.tracking, config.output)
    with WriterLock(config.output) as lock, cluster.session(config.cluster, config.workers):
        finish_commit(config.output)
        # A commit that was finished just now may be of another selection.
        if committed_index(config.output):
            claim_output(config, config.output, free=("sources",))
        else:
            freeze(config, config.output)
        yield lock.token()


def _completed(config: CurateConfig) -> CurateConfig:
    """Returns the config with what the result depends on besides its keys: digests of weights and of `join.scores`.

    With `from`, the keys that decide about measuring are those of that dataset.

    Raises:
        RequestError: a file or the dataset is missing or is not the one that was meant.
    """
    if config.from_:
        config = from_dataset.inherit_config(config)
    else:
        specs = config.model_specs
        if specs and config.models.gpus and not config.cluster.address:
            check_gpus(config.models.gpus)
        try_networks(specs)
        digests = {spec.scorer: with_digests(spec.section) for spec in specs}
        config = dataclasses.replace(config, **digests)
    return dataclasses.replace(config, join=with_join_digest(config.join))


def _check(config: CurateConfig, sources: Sequence[Source]) -> None:
    """Checks what would otherwise fail after hours of work: captioners, `join.scores`, disk space.

    Raises:
        RequestError: one of them will not do.
    """
    check_join(config.join)
    check_captioners(config)
    check_space(config, sources)


def check_space(config: CurateConfig, sources: Sequence[Source]) -> None:
    """Checks that the disk is not far too small for the output, unless `check_disk` is off.

    Raises:
        RequestError: it is.
    """
    if config.check_disk:
        shards = read_index(config.from_)["shards"] if config.from_ else []
        need = sum(shard["bytes"] for shard in shards) + bytes_needed(list(sources), config.pack.mode)
        check_disk(config.output, need, bytes_free(config.output))


def _check_failures(sources: Sequence[SourceRow], max_failed: float) -> None:
    """Checks that no larger share of the sources failed than allowed.

    Raises:
        FramemillError: more failed.
    """
    failed = [source for source in sources if source.state == "failed"]
    if len(failed) > max_failed * len(sources):
        raise FramemillError(
            f"curate: {len(failed)} of {len(sources)} sources failed, more than max_failed={max_failed:g} allows; "
            f"the first: {failed[0].path}: {failed[0].reason}"
        )


def report_settings(config: CurateConfig, rules: list[Stage]) -> ReportSettings:
    """Returns what the report shows of the config."""
    return ReportSettings(
        config.output,
        digest(config),
        from_dataset.measured_dataset(config),
        config.scores,
        config.select.bands,
        config.clip.min_seconds,
        rules,
    )


def _track(config: CurateConfig, result: CurateResult, figures: Figures) -> None:
    """Records the counts, the report's figures and the dataset's digest in MLflow."""
    with Tracker.open(config.tracking, config.output, "curate", {"curate": result_values(config)}) as tracker:
        counts = {f"clips_{state}": float(count) for state, count in result.clips.items()}
        counts |= {f"sources_{state}": float(count) for state, count in result.sources.items()}
        tracker.log_metrics({**counts, "hours_found": result.hours_found, "hours_kept": result.hours_kept})
        record_report(tracker, config.output, figures)
        tracker.log_dataset("curated", result.digest, config.output)
