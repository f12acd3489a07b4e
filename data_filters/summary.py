"""What a curation came to, in numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

STATES = ("kept", "filtered", "failed", "duplicate")


@dataclass(frozen=True)
class Summary:
    output: str
    digest: str
    """The dataset's identity: `digest` of its index."""
    sources: dict[str, int]
    """How many ended ok, filtered, failed, duplicate."""
    clips: dict[str, int]
    """How many were kept, filtered, failed, duplicate."""
    reasons: dict[str, int]
    """How many clips and sources were not kept for each reason."""
    hours_found: float
    hours_kept: float

    def line(self) -> str:
        """The last line of the job."""
        return (
            f"curate: kept {self.clips.get('kept', 0)} of {sum(self.clips.values())} clips "
            f"({self.hours_kept * 60:.1f} of {self.hours_found * 60:.1f} min) from {sum(self.sources.values())} "
            f"sources ({self.sources.get('failed', 0)} failed) -> {self.output}"
        )

    def totals(self) -> dict[str, Any]:
        """For the index."""
        return {
            "sources": self.sources,
            "clips": self.clips,
            "reasons": self.reasons,
            "hours_found": self.hours_found,
            "hours_kept": self.hours_kept,
        }


def counted(clip: dict[str, Any]) -> str:
    """Its reason as it is counted: which clip a duplicate repeats is its own affair."""
    return str(clip["reason"]).partition(" of ")[0] if clip["state"] == "duplicate" else str(clip["reason"])


def summarise(output: str, digest: str, sources: list[dict[str, Any]], clips: list[dict[str, Any]]) -> Summary:
    """Counts the rows of both ledger tables."""
    seconds = {state: sum(c["end_s"] - c["start_s"] for c in clips if c["state"] == state) for state in STATES}
    reasons = Counter(counted(clip) for clip in clips if clip["reason"])
    reasons.update("source " + source["state"] for source in sources if source["state"] in ("failed", "duplicate"))
    return Summary(
        output=output,
        digest=digest,
        sources=dict(sorted(Counter(source["state"] for source in sources).items())),
        clips=dict(sorted(Counter(clip["state"] for clip in clips).items())),
        reasons=dict(sorted(reasons.items())),
        hours_found=round(sum(seconds.values()) / 3600, 6),
        hours_kept=round(seconds["kept"] / 3600, 6),
    )
