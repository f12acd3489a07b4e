"""Exclusion of sources by path, tag or licence. Excluded sources are in the ledger with a reason, but not decoded."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from framemill.data_filters.sources.archive_errors import ArchiveError
from framemill.data_filters.sources.config import DropConfig
from framemill.data_filters.sources.sidecars import Provenance, SidecarError, provenance
from framemill.data_filters.sources.source import Source, read_sidecars


@dataclass(frozen=True)
class Exclusion:
    """The rule that excludes a source."""

    kind: str
    """"path", "tag" or "licence"."""
    glob: str
    """The glob that matches; empty if the rule is that a source has no tag or licence."""


@dataclass(frozen=True)
class ExcludedSource:
    """A source that a rule excludes, and that rule."""

    path: str
    provenance: Provenance
    exclusion: Exclusion


def exclude_sources(sources: Sequence[Source], rules: DropConfig) -> tuple[list[Source], list[ExcludedSource]]:
    """Returns the sources that no rule excludes, and the excluded sources.

    A source whose sidecar cannot be read is not excluded by tag or licence; measuring reports the broken sidecar.

    Raises:
        OSError: a sidecar cannot be reached.
    """
    if not (rules.paths or rules.tags or rules.licences):
        return list(sources), []
    kept: list[Source] = []
    excluded: list[ExcludedSource] = []
    for source in sources:
        facts: Provenance | None = None
        with contextlib.suppress(SidecarError, ArchiveError):
            facts = read_sidecars(source.uri)[1]
        exclusion = find_exclusion(source.path, facts, rules)
        if exclusion is None:
            kept.append(source)
        else:
            excluded.append(ExcludedSource(source.path, facts or provenance(), exclusion))
    return kept, excluded


def find_exclusion(path: str, provenance: Provenance | None, rules: DropConfig) -> Exclusion | None:
    """Returns the first rule that excludes a source; None if no rule does.

    Args:
        path: path of the source.
        provenance: tags and licence of the source; None if they are unknown.
        rules: the section `drop` of the config.
    """
    checks = [("path", rules.paths, [path])]
    if provenance is not None:
        checks.append(("tag", rules.tags, provenance["tags"]))
        checks.append(("licence", rules.licences, [provenance["licence"] or ""]))
    for kind, globs, values in checks:
        for glob in globs:
            if any(fnmatchcase(value, glob) for value in values):
                return Exclusion(kind, glob)
    return None
