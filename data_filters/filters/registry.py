"""Filters by name. Each measures one thing of a clip; selection decides by the scores, a filter never does.

To add one: a file with a class like `Saturation`, and a line in `FILTERS`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from framemill.platform.registry import Entry, Registry

if TYPE_CHECKING:
    from framemill.data_filters.filters.clip_frames import ClipFrames

SCORE_DECIMALS = 6
"""Scores and times are rounded before anything is decided from them, so that the last bit of a sum decides nothing."""


class Filter(Protocol):
    """A score of clips on the CPU, from the frames of the decode pass."""

    def score(self, clip: ClipFrames) -> dict[str, float]:
        """Returns the clip's scores by column."""


@dataclass(frozen=True)
class FilterEntry(Entry):
    """A filter, known without importing it."""

    columns: tuple[str, ...]
    """Columns of the clips table that the filter fills."""


FILTERS = Registry(
    "filters",
    {
        "motion": FilterEntry("framemill.data_filters.filters.motion:Motion", ("motion", "motion_x", "motion_y")),
        "saturation": FilterEntry("framemill.data_filters.filters.saturation:Saturation", ("saturation",)),
        "technical": FilterEntry(
            "framemill.data_filters.filters.technical:Technical",
            ("technical", "sharpness", "exposure", "contrast", "colourfulness", "brightness"),
        ),
        "vmaf_motion": FilterEntry("framemill.data_filters.filters.vmaf_motion:VmafMotion", ("vmaf_motion",)),
        "clipping": FilterEntry("framemill.data_filters.filters.clipping:Clipping", ("clipped_dark", "clipped_bright")),
        "black_bars": FilterEntry("framemill.data_filters.filters.black_bars:BlackBars", ("black_bars",)),
        "duplicates": FilterEntry("framemill.data_filters.filters.duplicates:Duplicates", ("duplicates", "frozen_s")),
        "flicker": FilterEntry("framemill.data_filters.filters.flicker:Flicker", ("flicker",)),
    },
)


def load_filter(name: str) -> Filter:
    """Imports a filter and creates it."""
    filter: Filter = FILTERS.load(name)()
    return filter


def score_columns(names: Iterable[str]) -> list[str]:
    """Returns the columns that these filters fill, in order."""
    return [column for name in names for column in FILTERS[name].columns]
