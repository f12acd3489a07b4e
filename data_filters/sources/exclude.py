"""Sources left out by name, tag or licence: they are in the ledger with the reason, and are not decoded."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from framemill.data_filters.sources.archives import ArchiveError
from framemill.data_filters.sources.config import DropConfig
from framemill.data_filters.sources.listing import Source, read_sidecars
from framemill.data_filters.sources.sidecars import SidecarError, provenance

Row = dict[str, Any]


@dataclass(frozen=True)
class Exclusion:
    """The rule of `drop` that excludes a source."""

    kind: str
    """"path", "tag" or "licence"."""
    glob: str
    """The glob that fits; empty where the source has no tag or licence and the rule is an empty glob."""


@dataclass(frozen=True)
class ExcludedSource:
    """A source that is not decoded."""

    path: str
    provenance: Row
    exclusion: Exclusion


def exclude_sources(sources: list[Source], rules: DropConfig) -> tuple[list[Source], list[ExcludedSource]]:
    """The sources that no rule excludes, and the excluded ones."""
    if not (rules.paths or rules.tags or rules.licences):
        return sources, []
    kept: list[Source] = []
    excluded: list[ExcludedSource] = []
    for source in sources:
        exclusion, provenance = read_exclusion(source, rules)
        if exclusion is None:
            kept.append(source)
        else:
            excluded.append(ExcludedSource(source.path, provenance, exclusion))
    return kept, excluded


def read_exclusion(source: Source, rules: DropConfig) -> tuple[Exclusion | None, Row]:
    """The rule that excludes a source, or None, and the source's provenance from its sidecars.

    A sidecar that cannot be parsed excludes nothing: measuring the source reports the error.
    """
    found: Row | None = None
    with contextlib.suppress(SidecarError, ArchiveError):
        found = read_sidecars(source.uri)[1]
    return find_exclusion(source.path, found, rules), found or provenance()


def find_exclusion(path: str, provenance: Row | None, rules: DropConfig) -> Exclusion | None:
    """The first rule that excludes a source of this path and provenance (None: unknown), or None."""
    named = [("path", rules.paths, [path])]
    if provenance is not None:
        named.append(("tag", rules.tags, provenance["tags"]))
        named.append(("licence", rules.licences, [provenance["licence"] or ""]))
    for what, globs, values in named:
        for glob in globs:
            if any(fnmatchcase(value, glob) for value in values):
                return Exclusion(what, glob)
    return None
