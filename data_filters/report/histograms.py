"""Histograms of a score over kept clips, clips that the score's bounds rejected, and other clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BINS = 40
"""Number of bins of a histogram."""
_TAIL = 3.0
"""If the range of all values is more than this many times the range of the middle 98 %, the axis shows only the middle
98 %, and the outer bins count the rest."""
Limits = dict[str, float]
"""Bounds by side: "min", "max", "min of SET", "max of SET"."""


@dataclass(frozen=True)
class Histogram:
    """Counts of clips by score, in bins between `edges`."""

    name: str
    edges: list[float]
    kept: list[int]
    dropped: list[int]
    """Clips that a bound of this score rejected."""
    others: list[int]
    """Clips that were rejected for another reason."""
    limits: Limits
    """The bounds that were applied."""
    median: float
    below: int
    """Clips below the first edge; the first bin counts them."""
    above: int
    """Clips above the last edge; the last bin counts them."""
    missing: int
    """Clips without the score."""


def histogram(name: str, limits: Limits, values: np.ndarray, kept: np.ndarray, dropped: np.ndarray) -> Histogram | None:
    """Returns the histogram of one score; None if no clip has the score.

    Args:
        name: name of the score.
        limits: the bounds that were applied.
        values: float (clips,), the scores; NaN if missing.
        kept: bool (clips,), the clips that are kept.
        dropped: bool (clips,), the clips that a bound of this score rejected.
    """
    known = np.isfinite(values)
    if not known.any():
        return None
    low, high = _axis(values[known], list(limits.values()))
    edges = np.linspace(low, high, BINS + 1)

    def count(mask: np.ndarray) -> list[int]:
        inside = np.clip(values[known & mask], low, high)
        return [int(n) for n in np.histogram(inside, edges)[0]]

    return Histogram(
        name,
        [round(float(edge), 9) for edge in edges],
        count(kept),
        count(dropped),
        count(~kept & ~dropped),
        limits,
        round(float(np.median(values[known])), 6),
        int((values[known] < low).sum()),
        int((values[known] > high).sum()),
        int((~known).sum()),
    )


def _axis(values: np.ndarray, limits: Sequence[float]) -> tuple[float, float]:
    """Returns the lowest and highest value of the axis, without outliers but with the bounds close to the values."""
    low, high = float(values.min()), float(values.max())
    first, last = (float(value) for value in np.percentile(values, (1, 99)))
    if last > first and high - low > _TAIL * (last - first):
        low, high = first, last
    span = high - low or max(abs(high), 1.0) / 10
    near = [limit for limit in limits if low - span <= limit <= high + span]
    low, high = min([low, *near]), max([high, *near])
    return (low, high) if high > low else (low - span / 2, high + span / 2)
