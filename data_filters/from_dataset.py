"""`from=`: another dataset's ledger in place of measuring. What was packed there is not decoded again."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from framemill.data_filters.config import CurateConfig
from framemill.data_filters.ledger.clip_table import MeasuredSources, PartCollector
from framemill.data_filters.ledger.parts import FACT_FIELDS, Part, clips_schema, part_from, part_uri, read_ipc
from framemill.data_filters.models.registry import model_specs, rules_by_stage, score_columns_of, vector_columns
from framemill.data_filters.pack.plan import ShardPlan
from framemill.data_filters.pack.worker import NOT_PACKED
from framemill.data_filters.select.states import NO_CLIP, NOT_JOINED, UNMEASURED, build_tables
from framemill.data_filters.sources.config import DropConfig
from framemill.data_filters.sources.exclude import excluded_row, exclusion_reason
from framemill.data_filters.sources.listing import list_sources
from framemill.data_filters.sources.source import Source
from framemill.platform import storage
from framemill.platform.compose import compose
from framemill.platform.dataset import read_ledger
from framemill.platform.dataset_format import read_index
from framemill.platform.errors import RequestError
from framemill.platform.frozen_config import differences, load_frozen, result_values
from framemill.platform.tables import read_table

Row = dict[str, Any]


def inherit_config(config: CurateConfig) -> CurateConfig:
    """The config with what the dataset `from` was measured with: those keys, its input, its sources.

    Raises:
        RequestError: no dataset there, or a key that would want other measurements than it has.
    """
    index = read_index(config.from_)
    if index["kind"] != "curate":
        raise RequestError(f"from={config.from_}: was made by {index['kind']}; name the dataset that it was made from")
    if storage.locate(config.from_)[1] == storage.locate(config.output)[1]:
        raise RequestError(f"output={config.output}: is the dataset of from=; choose another output")
    theirs = load_frozen(CurateConfig, storage.join(config.from_, "config.yaml"))
    default = compose("curate", CurateConfig, ["input=-", "output=-"])
    measure = [f.name for f in dataclasses.fields(config) if f.metadata["result"] and not f.metadata["role"]]
    taken: Row = {}
    for name in measure:
        ours, old = getattr(config, name), getattr(theirs, name)
        if ours not in (old, getattr(default, name)):
            different = ", ".join(differences(result_values(old), result_values(ours), f"{name}."))
            raise RequestError(f"from={config.from_}: {different}; that is measured, curate anew from input=")
        taken[name] = old
    if theirs.limit and config.limit > theirs.limit:
        raise RequestError(f"limit={config.limit}: from={config.from_} holds the first {theirs.limit} sources")
    taken["limit"] = config.limit or theirs.limit
    taken["drop"] = theirs.drop if config.drop == DropConfig() else config.drop
    config = dataclasses.replace(config, input=config.input or theirs.input, **taken)
    config.validate_scores()
    return config


def read_measured(config: CurateConfig) -> tuple[MeasuredSources, list[Row]]:
    """What is measured of the sources of `from`, out of its ledger, and the rows of those that `drop` leaves out.

    The sources have a path and no place: `find_sources` gives the few that are cut from theirs.

    Raises:
        RequestError: a source that was left out there and is not here, so that nothing has measured it.
    """
    rows = read_ledger(config.from_, "sources").to_pylist()[: config.limit or None]
    stays: list[Row] = []
    dropped: list[Row] = []
    unmeasured: list[str] = []
    for row in rows:
        reason = exclusion_reason(row["path"], None if has_broken_sidecar(row) else row["provenance"], config.drop)
        if reason is not None:
            dropped.append(excluded_row(row["path"], row["provenance"], reason))
        elif row["state"] == "filtered" and row["source_id"] is None:
            unmeasured.append(row["path"])
        else:
            stays.append(row)
    if unmeasured:
        more = f" (and {len(unmeasured) - 1} more)" if len(unmeasured) > 1 else ""
        raise RequestError(f"drop: {unmeasured[0]}{more} was dropped in from={config.from_}, so it is not measured")
    clips = clips_of(config, [row["path"] for row in stays])
    told = failures_by_source(clips)
    table = as_measured(clips, config)
    gathered = PartCollector(table.schema.remove_metadata())
    originals = {row["source_id"] for row in stays if row["clips"]}
    parts: list[Part] = []
    for row in stays:
        if row["state"] == "duplicate" and row["source_id"] not in originals:
            # The ledger names only the original's clips; it is dropped, and this one stands for the content now.
            gathered.add(part_beside(config.from_, row["path"]))
        else:
            parts.append(part_from_row(row, told.get(row["path"], set())))
    beside = gathered.measured()
    return MeasuredSources([*parts, *beside.parts], pa.concat_tables([table, beside.clips])), dropped


def require_scores(config: CurateConfig, measured: MeasuredSources) -> None:
    """Refuses bands that let clips through which no network has scored, since other bands rejected them first.

    Raises:
        RequestError: there are such clips.
    """
    specs = model_specs(config)
    if not specs or not measured.clips.num_rows:
        return
    clips = build_tables(measured, config.clip.min_seconds, rules_by_stage(config, []))[1]
    unscored = np.array([state == "kept" for state in clips.column("state")])
    missing = [np.isnan(clips.column(name)) for spec in specs for name in spec.columns]
    without = np.flatnonzero(unscored & np.any(missing, axis=0))
    if len(without):
        raise RequestError(
            f"select.bands: {len(without)} clips pass that were rejected in from={config.from_} before "
            f"{specs[0].scorer} was measured, the first {clips[int(without[0])]['key']}; curate anew from input="
        )


def clips_of(config: CurateConfig, paths: list[str]) -> pa.Table:
    """The clips table of those sources, with its verdicts."""
    measured = clips_schema(score_columns_of(config), vector_columns(config)).names
    uri = storage.join(config.from_, "ledger", "clips.parquet")
    table = read_table(uri, [name for name in measured if name != "caption"])
    return table.filter(pc.is_in(table["path"], pa.array(paths, pa.string())))


def failures_by_source(clips: pa.Table) -> dict[str, set[str]]:
    """Why clips failed, by source."""
    failed = clips.select(["path", "reason"]).filter(pc.equal(clips["state"], "failed"))
    told: dict[str, set[str]] = {}
    for path, reason in zip(failed["path"].to_pylist(), failed["reason"].to_pylist(), strict=True):
        told.setdefault(path, set()).add(reason)
    return told


def part_from_row(row: Row, told: set[str]) -> Part:
    """A source as it was measured, before any verdict."""
    screened = row["state"] == "filtered" and not row["clips"] and row["reason"] != NO_CLIP
    reason = row["reason"] if screened else reading_error(row, told)
    source = Source(row["path"], "", "")
    facts = {name: row[name] for name, _ in FACT_FIELDS} if row["codec"] else {}
    return Part(source, row["source_id"], reason, row["provenance"], [], screened=screened, facts=facts)


def as_measured(clips: pa.Table, config: CurateConfig) -> pa.Table:
    """The clips without their verdicts, but for what kept a network from scoring them."""
    plain = clips.drop_columns(["state", "reason"])
    if not model_specs(config):
        return plain
    others = pc.match_substring_regex(clips["reason"], f"^{NOT_PACKED}|{UNMEASURED}$|{NOT_JOINED}$")
    kept_from = pc.and_(pc.equal(clips["state"], "failed"), pc.invert(others))
    return plain.append_column("unscored", pc.if_else(kept_from, clips["reason"], pa.scalar(None, pa.string())))


def part_beside(dataset: str, path: str) -> tuple[Part, pa.Table]:
    source = Source(path, "", "")
    table = read_ipc(part_uri(dataset, source))
    if table is None:
        raise RequestError(f"drop: {path} repeats a dropped source, and from={dataset} has no work/parts to tell of it")
    return part_from(source, table)


def reading_error(row: Row, told: set[str]) -> str | None:
    """Why reading a source failed; None where it was read to its end, and only its clips (`told`) made it a failed
    one."""
    if row["state"] != "failed":
        return None
    return None if row["reason"] == "; ".join(sorted(told)) else row["reason"]


def has_broken_sidecar(row: Row) -> bool:
    """Whether what lies beside a source could not be read, and gives no ground to drop it."""
    return row["state"] == "failed" and row["source_id"] is None and " beside it is not " in row["reason"]


def find_sources(config: CurateConfig, plans: list[ShardPlan]) -> list[ShardPlan]:
    """The plans, each clip that must be cut with the place of its source below `input`.

    Raises:
        RequestError: a source is not there.
    """
    needed = {clip.path for plan in plans for clip in plan.clips if clip.earlier is None}
    if not needed:
        return plans
    places = {source.path: source.uri for source in list_sources(config.input)}
    if gone := sorted(needed - places.keys()):
        raise RequestError(
            f"input={config.input}: {gone[0]} is not there, one of {len(needed)} sources to cut clips from; "
            "where the footage has moved, give input="
        )
    return [
        ShardPlan(plan.index, [dataclasses.replace(clip, uri=places.get(clip.path, "")) for clip in plan.clips])
        for plan in plans
    ]
