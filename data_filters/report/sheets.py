"""Contact sheets: which clips of each step are shown, and their pictures out of the decode pass's parts.

A sheet never grows with the dataset: clips are chosen evenly over the keys, and pictures end at a number of bytes.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from framemill.data_filters.config import CurateConfig
from framemill.data_filters.ledger.parts import read_thumbnails
from framemill.data_filters.report.figures import Figures
from framemill.data_filters.sources.source import Source
from framemill.platform import storage
from framemill.platform.errors import RequestError
from framemill.platform.frozen_config import load_frozen

SHEET = 60
"""Clips on a sheet."""
SHEETS = 16
"""Sheets; what further steps dropped is only counted."""
PICTURE_BYTES = 6 << 20
"""Of JPEG in a report; clips beyond have no picture."""
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Sheet:
    """Some of the clips that one step dropped, or of the kept ones."""

    name: str
    state: str
    total: int
    clips: list[Row]


def sheets_of(figures: Figures, clips: Sequence[Row], ends: list[str]) -> list[Sheet]:
    """A sheet of the kept clips, then one a step, in the funnel's order."""
    by_step: dict[str, list[int]] = {"kept": []}
    for i, end in enumerate(ends):
        by_step.setdefault(end, []).append(i)
    states = {"kept": "kept"} | {step.name: step.state for step in figures.clips if step.dropped}
    return [
        Sheet(name, state, len(by_step[name]), [clips[i] for i in spread(by_step[name], SHEET)])
        for name, state in itertools.islice(states.items(), SHEETS)
    ]


def home_of_parts(config: CurateConfig) -> str:
    """The dataset whose pass decoded the sources: this one, or the first of those it was selected from."""
    homes = [config.output]
    while config.from_ and config.from_ not in homes:
        homes.append(config.from_)
        with contextlib.suppress(RequestError):
            config = load_frozen(CurateConfig, storage.join(config.from_, "config.yaml"))
    return homes[-1]


def spread(places: list[int], most: int) -> list[int]:
    """At most so many of them, evenly."""
    return [places[i * len(places) // most] for i in range(most)] if len(places) > most else places


def pictures_of(config: CurateConfig, found: Iterable[Source], sheets: list[Sheet]) -> dict[str, str]:
    """The pictures of the sheets' clips by key, as data URIs, until they are PICTURE_BYTES.

    The sheets take turns, so that none is without. A dataset that has lost its work/ folder has no pictures.
    """
    home = home_of_parts(config)
    by_path = {source.path: source for source in found}
    turns = itertools.zip_longest(*(sheet.clips for sheet in sheets))
    wanted = [clip for turn in turns for clip in turn if clip is not None]
    read: dict[str, bytes] = {}
    for path in sorted({clip["path"] for clip in wanted}):
        if path in by_path:
            keys = {clip["key"] for clip in wanted if clip["path"] == path}
            held = read_thumbnails(home, by_path[path])
            read |= {key: held[key] for key in keys & held.keys()}
    pictures: dict[str, str] = {}
    left = PICTURE_BYTES
    for clip in wanted:
        jpeg = read.get(clip["key"])
        if jpeg and len(jpeg) <= left:
            left -= len(jpeg)
            pictures[clip["key"]] = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
    return pictures
