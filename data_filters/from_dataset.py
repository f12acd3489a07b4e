"""`from=`: selecting again from the ledger of another dataset, instead of measuring."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from framemill.data_filters.config import CurateConfig
from framemill.data_filters.ledger.measured import MeasuredSources, PartCollector
from framemill.data_filters.ledger.parts import Part, read_any_part
from framemill.data_filters.ledger.reasons import REASON_FIELDS, Cause, reason_structs, reasons_from_columns
from framemill.data_filters.ledger.schema import clips_schema
from framemill.data_filters.ledger.source_row import SourceRow, excluded_row
from framemill.data_filters.ledger.tables import read_clips, read_sources
from framemill.data_filters.pack.plan import ShardPlan
from framemill.data_filters.select.join import join_scores
from framemill.data_filters.select.states import build_tables
from framemill.data_filters.sources.config import DropConfig
from framemill.data_filters.sources.exclude import find_exclusion
from framemill.data_filters.sources.listing import list_sources
from framemill.data_filters.sources.source import Source
from framemill.platform import storage
from framemill.platform.compose import compose
from framemill.platform.dataset_format import read_index
from framemill.platform.errors import RequestError
from framemill.platform.frozen_config import differences, load_frozen, result_values


def inherit_config(config: CurateConfig) -> CurateConfig:
    """Returns the config with the keys of measuring, the input and the sources of the dataset `from`.

    Raises:
        RequestError: `from` is no curated dataset or is the output, or a key configures other measurements than it has.
    """
    index = read_index(config.from_)
    if index["kind"] != "curate":
        raise RequestError(f"from={config.from_}: was made by {index['kind']}; name the dataset that it was made from")
    if storage.locate(config.from_)[1] == storage.locate(config.output)[1]:
        raise RequestError(f"output={config.output}: is the dataset of from=; choose another output")
    source = load_frozen(CurateConfig, storage.join(config.from_, "config.yaml"))
    default = compose("curate", CurateConfig, ["input=-", "output=-"])
    measuring = [entry.name for entry in dataclasses.fields(config) if _decides_measurements(entry)]
    inherited: dict[str, Any] = {}
    for name in measuring:
        ours, measured = getattr(config, name), getattr(source, name)
        if ours not in (measured, getattr(default, name)):
            different = ", ".join(differences(result_values(measured), result_values(ours), f"{name}."))
            raise RequestError(
                f"from={config.from_}: was measured with other keys ({different}); curate again from input="
            )
        inherited[name] = measured
    if source.limit and config.limit > source.limit:
        raise RequestError(f"limit={config.limit}: must be at most {source.limit}, the limit of from={config.from_}")
    inherited["limit"] = config.limit or source.limit
    inherited["drop"] = source.drop if config.drop == DropConfig() else config.drop
    config = dataclasses.replace(config, input=config.input or source.input, **inherited)
    config.validate_scores()
    return config


def _decides_measurements(entry: dataclasses.Field[Any]) -> bool:
    return bool(entry.metadata["result"]) and not entry.metadata["role"]


def read_measured(config: CurateConfig) -> tuple[MeasuredSources, list[SourceRow]]:
    """Returns the measurements in the ledger of `from`, and the ledger rows of the sources that `drop` excludes.

    The sources have their relative paths but empty URIs: `find_sources` adds the URIs of the few that must be cut
    again.

    Raises:
        RequestError: a source was excluded in `from`, so that it is not measured, and is not excluded here.
    """
    rows = read_sources(config.from_)[: config.limit or None]
    stays: list[SourceRow] = []
    excluded: list[SourceRow] = []
    unmeasured: list[str] = []
    for row in rows:
        # A source with a broken sidecar has neither tags nor a licence.
        provenance = None if row.reason and row.reason.cause is Cause.SIDECAR else row.provenance
        exclusion = find_exclusion(row.path, provenance, config.drop)
        if exclusion is not None:
            excluded.append(excluded_row(row.path, row.provenance, exclusion))
        elif row.reason and row.reason.cause is Cause.EXCLUDED:
            unmeasured.append(row.path)
        else:
            stays.append(row)
    if unmeasured:
        more = f" (and {len(unmeasured) - 1} more)" if len(unmeasured) > 1 else ""
        raise RequestError(f"drop: {unmeasured[0]}{more} was dropped in from={config.from_}, so it is not measured")
    table = _as_measured(_clips_of(config, [row.path for row in stays]), bool(config.model_specs))
    collector = PartCollector(table.schema.remove_metadata())
    originals = {row.source_id for row in stays if row.clips}
    parts: list[Part] = []
    for row in stays:
        if row.state == "duplicate" and row.source_id not in originals:
            # The ledger has only the clips of the original source, which is excluded here: this source replaces it.
            collector.add(_measured_duplicate(config.from_, row.path))
        else:
            parts.append(_as_part(row))
    duplicates = collector.measured()
    return MeasuredSources([*parts, *duplicates.parts], pa.concat_tables([table, duplicates.clips])), excluded


def read_scores_of(config: CurateConfig) -> tuple[MeasuredSources, list[SourceRow]]:
    """Returns the measurements of `from` with the columns of `join.scores`, and the ledger rows of excluded sources.

    Raises:
        RequestError: a clip that passes the bands, or a source that is not excluded, was not measured in `from`.
    """
    measured, excluded = read_measured(config)
    measured = join_scores(config.join, measured)
    require_scores(config, measured)
    return measured, excluded


def require_scores(config: CurateConfig, measured: MeasuredSources) -> None:
    """Checks that networks have scored every clip that passes the bands.

    Raises:
        RequestError: a clip passes that the bands of `from` rejected before a network scored it.
    """
    specs = config.model_specs
    if not specs or not measured.clips.num_rows:
        return
    clips = build_tables(measured, config.clip.min_seconds, config.rules_by_stage([]))[1]
    kept = np.array([state == "kept" for state in clips.column("state")])
    missing = [np.isnan(clips.column(name)) for spec in specs for name in spec.columns]
    unscored = np.flatnonzero(kept & np.any(missing, axis=0))
    if len(unscored):
        raise RequestError(
            f"select.bands: {len(unscored)} clips pass that were rejected in from={config.from_} before "
            f"{specs[0].scorer} was measured, the first {clips[int(unscored[0])].key}; curate again from input="
        )


def _clips_of(config: CurateConfig, paths: Sequence[str]) -> pa.Table:
    """Returns the clips of the sources at these paths, with their measured columns, states and reasons."""
    measured = clips_schema(config.measured_scores, config.vectors, states=False).names
    table = read_clips(config.from_, measured)
    return table.filter(pc.is_in(table["path"], pa.array(paths, pa.string())))


def _as_measured(clips: pa.Table, by_networks: bool) -> pa.Table:
    """Returns the clips as they were measured, without states and reasons.

    Args:
        clips: the result of `_clips_of`.
        by_networks: whether networks scored the clips. If so, column `unscored` is added: the reason why a network
            could not score the clip, or null.
    """
    measured = clips.drop_columns(["state", *(name for name, _ in REASON_FIELDS)])
    if not by_networks:
        return measured
    failed = pc.equal(clips["state"], "failed")
    others = pc.is_in(clips["cause"], pa.array([Cause.NOT_PACKED, Cause.UNMEASURED, Cause.NOT_JOINED], pa.string()))
    unscored = pc.and_(failed, pc.invert(others)).to_pylist()
    reasons = zip(reasons_from_columns(clips), unscored, strict=True)
    return measured.append_column("unscored", reason_structs([reason if kept else None for reason, kept in reasons]))


def _as_part(row: SourceRow) -> Part:
    """Returns the part of a source, from its ledger row without the state that selection assigned."""
    measured = row.reason is not None and row.reason.cause in (Cause.UNREADABLE, Cause.SIDECAR, Cause.PREFILTERED)
    return Part(Source(row.path, "", ""), row.source_id, row.reason if measured else None, row.provenance, row.facts)


def _measured_duplicate(dataset: str, path: str) -> tuple[Part, pa.Table]:
    """Returns the part and the clips of a source whose clips are not in the ledger, since another has the same content.

    Raises:
        RequestError: the parts of the dataset were deleted.
    """
    measured = read_any_part(dataset, path)
    if measured is None:
        raise RequestError(
            f"drop: {path} has the content of a dropped source, and from={dataset} has no work/parts with the clips"
        )
    return measured


def measured_dataset(config: CurateConfig) -> str:
    """Returns the dataset whose decode pass read the sources.

    This is the output itself, or the first dataset of a chain of `from`.
    """
    datasets = [config.output]
    while config.from_ and config.from_ not in datasets:
        datasets.append(config.from_)
        with contextlib.suppress(RequestError):
            config = load_frozen(CurateConfig, storage.join(config.from_, "config.yaml"))
    return datasets[-1]


def find_sources(config: CurateConfig, plans: list[ShardPlan]) -> list[ShardPlan]:
    """Returns the plans with the URI of the source in `input` added to every clip.

    Raises:
        RequestError: a source to cut clips from is not in `input`.
    """
    needed = {clip.path for plan in plans for clip in plan.clips if clip.earlier is None}
    if not needed:
        return plans
    uris = {source.path: source.uri for source in list_sources(config.input)}
    if missing := sorted(needed - uris.keys()):
        raise RequestError(
            f"input={config.input}: {missing[0]} is missing, one of {len(needed)} sources to cut clips from; "
            "if the footage has moved, give its new path as input="
        )
    return [
        ShardPlan(plan.index, [dataclasses.replace(clip, uri=uris.get(clip.path, "")) for clip in plan.clips])
        for plan in plans
    ]
