"""The curation job, from listing sources to the commit. Each stage resumes from recorded results."""

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

    Sources may be added or removed between calls: new sources are measured, removed ones are left out of the new
    version, and the version has the same bytes as a curation from scratch. With `calibrate` the job stops after
    selection: nothing is captioned or packed.

    Args:
        config: the config; None: built from `keys`.
        **keys: the keys of the command, as in `curate(input=..., output=..., clip={"min_seconds": 1})`; `from_` stands
            for `from`.

    Raises:
        RequestError: a key is wrong, the input does not exist, or the output was made with another config.
        PendingError: a source or a model did not answer; nothing is committed, and the same call resumes.
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
    """Yields the lock token of the output: the block is the only writer, under one config, with Ray started.

    A commit that was interrupted is finished first. Until the first commit the keys of selection may change between
    calls; after it only the sources may change.

    Raises:
        RequestError: the output was made with another config, has a newer format, or is being written.
    """
    free = ("sources",) if committed_index(config.output) else ("sources", "selection")
    claim_output(config, config.output, free)
    prepare_tracking(config.tracking, config.output)
    with WriterLock(config.output) as lock, cluster.session(config.cluster, config.workers):
        finish_commit(config.output)
        # The commit that was just finished may have been made with other keys of selection.
        if committed_index(config.output):
            claim_output(config, config.output, free=("sources",))
        else:
            freeze(config, config.output)
        yield lock.token()


def _completed(config: CurateConfig) -> CurateConfig:
    """Returns the config with the SHA-256 of weights and of `join.scores`, on which the result depends as well.

    With `from`, the keys of measuring are taken from that dataset.

    Raises:
        RequestError: a file or the dataset is missing, or a file has another SHA-256 than configured.
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
    """Checks captioners, `join.scores` and disk space, which would otherwise fail after hours of work.

    Raises:
        RequestError: a captioner's model or `join.scores` is missing or wrong, or the disk is far too small.
    """
    check_join(config.join)
    check_captioners(config)
    check_space(config, sources)


def check_space(config: CurateConfig, sources: Sequence[Source]) -> None:
    """Checks that the disk is not far too small for the output, if `check_disk` is set.

    Raises:
        RequestError: the free space is less than a tenth of what the output may need.
    """
    if config.check_disk:
        shards = read_index(config.from_)["shards"] if config.from_ else []
        need = sum(shard["bytes"] for shard in shards) + bytes_needed(list(sources), config.pack.mode)
        check_disk(config.output, need, bytes_free(config.output))


def _check_failures(sources: Sequence[SourceRow], max_failed: float) -> None:
    """Checks that at most the share `max_failed` of the sources failed.

    Raises:
        FramemillError: more sources failed.
    """
    failed = [source for source in sources if source.state == "failed"]
    if len(failed) > max_failed * len(sources):
        raise FramemillError(
            f"curate: {len(failed)} of {len(sources)} sources failed, more than max_failed={max_failed:g} allows; "
            f"the first: {failed[0].path}: {failed[0].reason}"
        )


def report_settings(config: CurateConfig, rules: list[Stage]) -> ReportSettings:
    """Returns the settings of the config that the report shows."""
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
    """Logs the counts, the report's figures and the dataset's digest to MLflow."""
    with Tracker.open(config.tracking, config.output, "curate", {"curate": result_values(config)}) as tracker:
        counts = {f"clips_{state}": float(count) for state, count in result.clips.items()}
        counts |= {f"sources_{state}": float(count) for state, count in result.sources.items()}
        tracker.log_metrics({**counts, "hours_found": result.hours_found, "hours_kept": result.hours_kept})
        record_report(tracker, config.output, figures)
        tracker.log_dataset("curated", result.digest, config.output)
