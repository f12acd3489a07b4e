"""Contact sheets: the clips of each step that the report shows, and their thumbnails from the parts.

The size of a report does not grow with the dataset: clips are chosen evenly over the keys, and the thumbnails have a
byte budget.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from framemill.data_filters.ledger.clip_table import ClipRow, ClipTable
from framemill.data_filters.ledger.parts import read_thumbnails
from framemill.data_filters.report.drop_steps import KEPT, DropStep, DropSteps
from framemill.data_filters.report.figures import Figures
from framemill.data_filters.sources.source import Source

SHEET_CLIPS = 60
"""Maximum number of clips on one sheet."""
MAX_SHEETS = 16
"""Maximum number of sheets in a report; the clips of further steps are only counted."""
THUMBNAIL_BYTES = 6 << 20
"""Maximum bytes of JPEG in a report; clips beyond the budget have no thumbnail."""


@dataclass(frozen=True)
class Sheet:
    """A contact sheet: some of the clips that one step rejected, or some of the kept clips."""

    id: str
    """Identifier of the step on the page."""
    name: str
    state: str
    total: int
    """Number of clips of the step."""
    clips: list[ClipRow]
    score: str = ""
    """The score that rejected the clips, shown with each clip; empty if no score did."""


def contact_sheets(figures: Figures, clips: ClipTable, steps: DropSteps) -> list[Sheet]:
    """Returns a sheet of the kept clips, then a sheet for each step in the order of the funnel."""
    states = {KEPT: KEPT.name}
    states |= {DropStep(step.name, step.of_score): step.state for step in figures.clips if step.dropped}
    sheets = []
    for step, state in itertools.islice(states.items(), MAX_SHEETS):
        rows = steps.rows(step)
        chosen = [clips[i] for i in _spread(rows, SHEET_CLIPS)]
        sheets.append(Sheet(step.id, step.name, state, len(rows), chosen, step.name if step.of_score else ""))
    return sheets


def thumbnail_uris(dataset: str, sources: Iterable[Source], sheets: Sequence[Sheet]) -> dict[str, str]:
    """Returns the thumbnails of the sheets' clips by key, as data URIs of at most THUMBNAIL_BYTES in all.

    Clips are taken from the sheets in turn, so that every sheet has thumbnails. A dataset without its work/ folder has
    no thumbnails.

    Args:
        dataset: the dataset whose decode pass made the thumbnails.
        sources: sources of the clips.
        sheets: the contact sheets.
    """
    by_path = {source.path: source for source in sources}
    rounds = itertools.zip_longest(*(sheet.clips for sheet in sheets))
    wanted = [(clip.key, clip.path) for turn in rounds for clip in turn if clip is not None]
    keys_by_path: dict[str, set[str]] = {}
    for key, path in wanted:
        keys_by_path.setdefault(path, set()).add(key)
    jpegs: dict[str, bytes] = {}
    for path, keys in sorted(keys_by_path.items()):
        if path in by_path:
            thumbnails = read_thumbnails(dataset, by_path[path])
            jpegs |= {key: thumbnails[key] for key in keys & thumbnails.keys()}
    uris: dict[str, str] = {}
    left = THUMBNAIL_BYTES
    for key, _ in wanted:
        jpeg = jpegs.get(key)
        if jpeg and len(jpeg) <= left:
            left -= len(jpeg)
            uris[key] = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
    return uris


def _spread(rows: Sequence[int], most: int) -> Sequence[int]:
    """Returns at most `most` of the rows, evenly spaced."""
    return [rows[i * len(rows) // most] for i in range(most)] if len(rows) > most else rows
