"""`from=`: another dataset's ledger in place of measuring. What was packed there is not decoded again."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from framemill.data_filters.config import CurateConfig, DropConfig
from framemill.data_filters.drop import dropped_row, fits
from framemill.data_filters.ledger import FACT_FIELDS, VERDICT_FIELDS, Part, part_from, part_uri, read_ipc
from framemill.data_filters.models import bands_known, specs_of
from framemill.data_filters.pack import ShardPlan
from framemill.data_filters.select import NO_CLIP, settle
from framemill.data_filters.shard_worker import NOT_PACKED
from framemill.data_filters.sources import Source, list_sources
from framemill.platform import storage
from framemill.platform.config import compose
from framemill.platform.errors import RequestError
from framemill.platform.frozen import differences, load_frozen, result_values
from framemill.platform.shards import read_index, read_ledger

Row = dict[str, Any]


def inherit(config: CurateConfig) -> CurateConfig:
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


def measured(config: CurateConfig) -> tuple[list[Part], list[Row]]:
    """The parts of the sources of `from`, out of its ledger, and the ledger's rows of those that `drop` leaves out.

    The sources of the parts have a path and no place: `find_sources` gives the few that are cut from theirs.

    Raises:
        RequestError: a source that was left out there and is not here, so that nothing has measured it.
    """
    rows = read_ledger(config.from_, "sources").to_pylist()[: config.limit or None]
    stays: list[Row] = []
    dropped: list[Row] = []
    unmeasured: list[str] = []
    for row in rows:
        reason = fits(row["path"], None if no_sidecar(row) else row["provenance"], config.drop)
        if reason is not None:
            dropped.append(dropped_row(row["path"], row["provenance"], reason))
        elif row["state"] == "filtered" and row["source_id"] is None:
            unmeasured.append(row["path"])
        else:
            stays.append(row)
    if unmeasured:
        more = f" (and {len(unmeasured) - 1} more)" if len(unmeasured) > 1 else ""
        raise RequestError(f"drop: {unmeasured[0]}{more} was dropped in from={config.from_}, so it is not measured")
    clips = clips_of(config.from_, [row["path"] for row in stays])
    originals = {row["source_id"] for row in stays if row["clips"]}
    return [part_of(config.from_, row, clips.get(row["path"], []), originals) for row in stays], dropped


def require_scores(config: CurateConfig, parts: list[Part]) -> None:
    """Refuses bands that let clips through which no network has scored, since other bands rejected them first.

    Raises:
        RequestError: there are such clips.
    """
    specs = specs_of(config)
    columns = [name for spec in specs for name in spec.columns]
    without = [
        clip["key"]
        for clip in (settle(parts, config.clip.min_seconds, bands_known(config, []))[1] if specs else [])
        if clip["state"] == "kept" and clip.get("unscored") is None and any(clip[name] is None for name in columns)
    ]
    if without:
        raise RequestError(
            f"select.bands: {len(without)} clips pass that were rejected in from={config.from_} before "
            f"{specs[0].scorer} was measured, the first {without[0]}; curate anew from input="
        )


def clips_of(dataset: str, paths: list[str]) -> dict[str, list[Row]]:
    """The rows of the clips table by source, with their verdicts."""
    table = read_ledger(dataset, "clips")
    found: dict[str, list[Row]] = {}
    for row in table.filter(pc.is_in(table["path"], pa.array(paths, pa.string()))).to_pylist():
        found.setdefault(row["path"], []).append(row)
    return found


def part_of(dataset: str, row: Row, clips: list[Row], originals: set[str | None]) -> Part:
    """A source as it was measured, before any verdict."""
    if row["state"] == "duplicate" and row["source_id"] not in originals:
        # The ledger names only the original's clips; it is dropped, and this one stands for the content now.
        return part_beside(dataset, row["path"])
    screened = row["state"] == "filtered" and not row["clips"] and row["reason"] != NO_CLIP
    reason = row["reason"] if screened else reading_error(row, clips)
    source = Source(row["path"], "", "")
    facts = {name: row[name] for name, _ in FACT_FIELDS} if row["codec"] else {}
    measured = [as_measured(clip) for clip in clips]
    return Part(source, row["source_id"], reason, row["provenance"], measured, screened=screened, facts=facts)


def as_measured(clip: Row) -> Row:
    """A clip without its verdict, but for what kept a network from scoring it."""
    verdicts = {name for name, _ in VERDICT_FIELDS}
    plain = {name: value for name, value in clip.items() if name not in verdicts}
    if clip["state"] == "failed" and not clip["reason"].startswith(NOT_PACKED):
        plain["unscored"] = clip["reason"]
    return plain


def part_beside(dataset: str, path: str) -> Part:
    source = Source(path, "", "")
    table = read_ipc(part_uri(dataset, source))
    if table is None:
        raise RequestError(f"drop: {path} repeats a dropped source, and from={dataset} has no work/parts to tell of it")
    facts = json.loads(table.schema.metadata[b"framemill"])
    clips = table.drop_columns(["thumbnail"]).to_pylist()
    return part_from(source, facts, clips)


def reading_error(row: Row, clips: list[Row]) -> str | None:
    """Why reading a source failed; None where it was read to its end, and only its clips made it a failed one."""
    if row["state"] != "failed":
        return None
    told = "; ".join(sorted({clip["reason"] for clip in clips if clip["state"] == "failed"}))
    return None if row["reason"] == told else row["reason"]


def no_sidecar(row: Row) -> bool:
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
