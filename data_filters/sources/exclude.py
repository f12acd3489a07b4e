"""Sources that a rule excludes by path, tag or licence. They are in the ledger with the reason, and are not decoded."""

from __future__ import annotations

import contextlib
from fnmatch import fnmatchcase
from typing import Any

from framemill.data_filters.sources.archive_errors import ArchiveError
from framemill.data_filters.sources.config import DropConfig
from framemill.data_filters.sources.sidecars import Provenance, SidecarError, provenance
from framemill.data_filters.sources.source import Source, read_sidecars

Row = dict[str, Any]


def exclude_sources(sources: list[Source], rules: DropConfig) -> tuple[list[Source], list[Row]]:
    """Returns the sources that no rule excludes, and the ledger's rows of the others.

    A source whose sidecar cannot be read has no tags or licence to be excluded by; measuring it reports the sidecar.

    Raises:
        OSError: a sidecar cannot be reached.
    """
    if not (rules.paths or rules.tags or rules.licences):
        return sources, []
    kept: list[Source] = []
    rows: list[Row] = []
    for source in sources:
        facts: Provenance | None = None
        with contextlib.suppress(SidecarError, ArchiveError):
            facts = read_sidecars(source.uri)[1]
        reason = exclusion_reason(source.path, facts, rules)
        if reason is None:
            kept.append(source)
        else:
            rows.append(excluded_row(source.path, facts or provenance(), reason))
    return kept, rows


def excluded_row(path: str, provenance: Provenance, reason: str) -> Row:
    """Returns the ledger's row of an excluded source."""
    return {
        "path": path,
        "source_id": None,
        "provenance": provenance,
        "state": "filtered",
        "reason": reason,
        "clips": 0,
    }


def exclusion_reason(path: str, provenance: Provenance | None, rules: DropConfig) -> str | None:
    """Returns why the rules exclude a source; None where they do not.

    Args:
        path: path of the source.
        provenance: tags and licence of the source; None where they are not known.
        rules: what is excluded.
    """
    checks = [("path", rules.paths, [path])]
    if provenance is not None:
        checks.append(("tag", rules.tags, provenance["tags"]))
        checks.append(("licence", rules.licences, [provenance["licence"] or ""]))
    for what, globs, values in checks:
        for glob in globs:
            if any(fnmatchcase(value, glob) for value in values):
                return f"dropped by {what} {glob}" if glob else f"dropped for want of a {what}"
    return None
