"""Filters by name. A filter measures scores of a clip; selection decides by scores which clips are kept.

To add a filter, write a file with a class like `Saturation`, and add an entry to `FILTERS`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from framemill.platform.registry import Entry, Registry

if TYPE_CHECKING:
    from framemill.data_filters.filters.clip_frames import ClipFrames

SCORE_DECIMALS = 6
"""Decimals of scores and times, rounded before any decision, so that no decision depends on floating-point error."""


class Filter(Protocol):
    """Interface of a filter: measures scores of a clip on the CPU, from the frames of the decode pass."""

    def score(self, clip: ClipFrames) -> dict[str, float]:
        """Returns the clip's scores by column."""


@dataclass(frozen=True)
class FilterEntry(Entry):
    """Registry entry of a filter, available without importing its module."""

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
    """Returns a new instance of the filter registered as `name`."""
    filter: Filter = FILTERS.load(name)()
    return filter


def score_columns(names: Iterable[str]) -> list[str]:
    """Returns the columns of the clips table that the named filters fill, in order."""
    return [column for name in names for column in FILTERS[name].columns]
