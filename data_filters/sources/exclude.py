"""Sources left out by name, tag or licence: they are in the ledger with the reason, and are not decoded."""

from __future__ import annotations

import contextlib
from fnmatch import fnmatchcase
from typing import Any

from framemill.data_filters.sources.archives import ArchiveError
from framemill.data_filters.sources.config import DropConfig
from framemill.data_filters.sources.listing import Source, read_sidecars
from framemill.data_filters.sources.sidecars import SidecarError, provenance

Row = dict[str, Any]


def exclude_sources(sources: list[Source], rules: DropConfig) -> tuple[list[Source], list[Row]]:
    """The sources that stay, and the ledger's rows of those that do not."""
    if not (rules.paths or rules.tags or rules.licences):
        return sources, []
    kept: list[Source] = []
    rows: list[Row] = []
    for source in sources:
        reason, provenance = exclusion_reason(source, rules)
        if reason is None:
            kept.append(source)
            continue
        rows.append(excluded_row(source.path, provenance, reason))
    return kept, rows


def excluded_row(path: str, provenance: Row, reason: str) -> Row:
    """The ledger's row of a source that is left out."""
    return {
        "path": path,
        "source_id": None,
        "provenance": provenance,
        "state": "filtered",
        "reason": reason,
        "clips": 0,
    }


def exclusion_reason(source: Source, rules: DropConfig) -> tuple[str | None, Row]:
    """Why a source is left out, or None; and its provenance. A sidecar that cannot be read is no ground to drop it:
    measuring says what is wrong with it."""
    found: Row | None = None
    with contextlib.suppress(SidecarError, ArchiveError):
        found = read_sidecars(source.uri)[1]
    return fits(source.path, found, rules), found or provenance()


def fits(path: str, provenance: Row | None, rules: DropConfig) -> str | None:
    """Why a source of that path and provenance (None: unknown) is left out, or None."""
    named = [("path", rules.paths, [path])]
    if provenance is not None:
        named.append(("tag", rules.tags, provenance["tags"]))
        named.append(("licence", rules.licences, [provenance["licence"] or ""]))
    for what, globs, values in named:
        for glob in globs:
            if any(fnmatchcase(value, glob) for value in values):
                return f"dropped by {what} {glob}" if glob else f"dropped for want of a {what}"
    return None
