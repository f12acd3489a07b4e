"""Filters: each measures one thing of a clip and names its scores. Selection decides; a filter never does.

To add one: a file with a class like `Saturation`, and a line here.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from framemill.data_filters.filters.clip_frames import ClipFrames


class Filter(Protocol):
    def score(self, clip: ClipFrames) -> dict[str, float]:
        """The clip's scores by column."""


@dataclass(frozen=True)
class FilterEntry:
    """A filter by name, known without loading it."""

    home: str
    columns: tuple[str, ...]

    def load(self) -> Filter:
        module, _, name = self.home.partition(":")
        return getattr(importlib.import_module(f"framemill.data_filters.filters.{module}"), name)()


FILTERS = {
    "motion": FilterEntry("motion:Motion", ("motion", "motion_x", "motion_y")),
    "saturation": FilterEntry("saturation:Saturation", ("saturation",)),
    "technical": FilterEntry(
        "technical:Technical", ("technical", "sharpness", "exposure", "contrast", "colourfulness", "brightness")
    ),
    "vmaf_motion": FilterEntry("vmaf_motion:VmafMotion", ("vmaf_motion",)),
    "clipping": FilterEntry("clipping:Clipping", ("clipped_dark", "clipped_bright")),
    "black_bars": FilterEntry("black_bars:BlackBars", ("black_bars",)),
    "duplicates": FilterEntry("duplicates:Duplicates", ("duplicates", "frozen_s")),
    "flicker": FilterEntry("flicker:Flicker", ("flicker",)),
}


def score_columns(names: list[str]) -> list[str]:
    """The columns that these filters fill, in order."""
    return [column for name in names for column in FILTERS[name].columns]
