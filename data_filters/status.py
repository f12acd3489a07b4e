"""Progress of a curation, read from its output folder."""

from __future__ import annotations

import json

from framemill.data_filters.ledger.parts import PARTS
from framemill.data_filters.models.score_parts import SCORES
from framemill.data_filters.pack.versions import VERSIONS
from framemill.platform import storage
from framemill.platform.dataset_status import GOES_ON


def curation_status(path: str, names: list[str]) -> list[str]:
    """Returns the progress of a curation as lines; no lines if the folder is not the output of a curation.

    A committed dataset with more than one version has a line for each version, with the sources and clips added and
    removed.

    Args:
        path: the folder, as a path or URI.
        names: names of the files in the folder.
    """
    if "index.json" in names:
        return _version_lines(path) if VERSIONS in names else []
    lines = []
    if count := _count_files(storage.join(path, PARTS)):
        lines.append(f"measured: {count} sources; {GOES_ON}")
    scores = storage.join(path, SCORES)
    for scorer in storage.list_dir(scores):
        lines.append(f"scored by {scorer}: {_count_files(storage.join(scores, scorer))} sources; {GOES_ON}")
    return lines


def _count_files(folder: str) -> int:
    return len([name for name in storage.list_dir(folder) if not name.startswith(".")])


def _version_lines(path: str) -> list[str]:
    versions = [json.loads(line) for line in storage.read_bytes(storage.join(path, VERSIONS)).splitlines()]
    return [
        f"version {version['version']}: {version['digest']}, {version['clips']} clips "
        f"(+{version['clips_came']} -{version['clips_went']}) of {version['sources']} sources "
        f"(+{version['sources_came']} -{version['sources_went']})"
        for version in versions
        if len(versions) > 1
    ]
