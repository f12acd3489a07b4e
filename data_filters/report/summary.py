"""The counts of a curation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from framemill.data_filters.ledger.clip_table import ClipTable
from framemill.data_filters.ledger.source_row import SourceRow
from framemill.platform.dataset_format import CLIP_STATES


@dataclass(frozen=True)
class CurateResult:
    """The result of a curation: the dataset and its counts."""

    output: str
    """Folder or URI of the dataset."""
    digest: str
    """Digest of the dataset, from its index; empty if nothing was packed."""
    sources: dict[str, int]
    """Number of sources by state: ok, filtered, failed, duplicate."""
    clips: dict[str, int]
    """Number of clips by state: kept, filtered, failed, duplicate."""
    reasons: dict[str, int]
    """Number of clips by the sentence of their reason; "source failed" and "source duplicate" count sources."""
    hours_found: float
    """Length of all clips, hours."""
    hours_kept: float
    """Length of the kept clips, hours."""

    def line(self) -> str:
        """Returns the result as one line for the terminal."""
        done = "kept" if self.digest else "would keep"
        return (
            f"curate: {done} {self.clips.get('kept', 0)} of {sum(self.clips.values())} clips "
            f"({self.hours_kept * 60:.1f} of {self.hours_found * 60:.1f} min) from {sum(self.sources.values())} "
            f"sources ({self.sources.get('failed', 0)} failed) -> {self.output}"
        )

    def totals(self) -> dict[str, Any]:
        """Returns the counts as JSON values, for the index."""
        return {
            "sources": self.sources,
            "clips": self.clips,
            "reasons": self.reasons,
            "hours_found": self.hours_found,
            "hours_kept": self.hours_kept,
        }


def summarise(output: str, digest: str, sources: Sequence[SourceRow], clips: ClipTable) -> CurateResult:
    """Returns the counts of both ledger tables.

    Args:
        output: folder or URI of the dataset.
        digest: digest of the dataset's index; empty if nothing was packed.
        sources: all sources.
        clips: all clips.
    """
    states = np.array(clips.column("state"), str)
    lengths = clips.column("end_s") - clips.column("start_s")
    seconds = {state: float(lengths[states == state].sum()) for state in CLIP_STATES}
    reasons = Counter(reason.countable for reason in clips.column("reason") if reason)
    reasons.update("source " + source.state for source in sources if source.state in ("failed", "duplicate"))
    return CurateResult(
        output=output,
        digest=digest,
        sources=dict(sorted(Counter(source.state for source in sources).items())),
        clips=dict(sorted(Counter(clips.column("state")).items())),
        reasons=dict(sorted(reasons.items())),
        hours_found=round(sum(seconds.values()) / 3600, 6),
        hours_kept=round(seconds["kept"] / 3600, 6),
    )
