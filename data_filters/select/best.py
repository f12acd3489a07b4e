"""Selection of the best clips among those that pass, balanced over classes, e.g. for a fine-tuning set."""

from __future__ import annotations

import numpy as np

from framemill.data_filters.ledger.clip_table import ClipTable
from framemill.data_filters.ledger.reasons import Cause, Reason
from framemill.data_filters.select.bounds import source_tags
from framemill.data_filters.select.config import BestConfig

_NO_TAG = "other"
"""Class of a clip whose source has none of the listed tags."""


def keep_best(best: BestConfig, clips: ClipTable) -> None:
    """Filters all kept clips except the `best.clips` best ones.

    Classes get equal shares: the best clip of every class is taken before the second-best clip of any class, and a
    class with too few clips gives all of them. Within a class clips are ranked by score, then by key; clips without the
    score come last.
    """
    kept = np.flatnonzero(np.array(clips.column("state"), str) == "kept") if len(clips) else np.empty(0, int)
    if not best.clips or len(kept) <= best.clips:
        return
    score = np.nan_to_num(np.array(clips.column(best.by), float)[kept], nan=-np.inf)
    _, class_indices = np.unique(_classes(best, clips, kept), return_inverse=True)
    # Clips are in the order of their keys, and both sorts are stable.
    by_class = np.lexsort((-score, class_indices))
    starts = np.searchsorted(class_indices[by_class], np.arange(class_indices.max() + 1))
    rank = np.empty(len(kept), int)
    rank[by_class] = np.arange(len(kept)) - starts[class_indices[by_class]]
    states, reasons = clips.column("state"), clips.column("reason")
    reason = Reason(Cause.NOT_BEST, best.by, float(best.clips))
    for i in kept[np.lexsort((-score, rank))[best.clips :]]:
        states[i], reasons[i] = "filtered", reason


def _classes(best: BestConfig, clips: ClipTable, rows: np.ndarray) -> np.ndarray:
    """Returns the class of each clip, str (rows,), from the score edges and the tags of its source."""
    names = [""] * len(rows)
    for score, edges in sorted(best.edges.items()):
        # NaN sorts last: a clip without the score is above all edges.
        intervals = np.searchsorted(sorted(edges), np.array(clips.column(score), float)[rows], side="right").tolist()
        names = [f"{name}|{interval}" for name, interval in zip(names, intervals, strict=True)]
    provenance = clips.column("provenance")
    for _, tags in sorted(best.tags.items()):
        tags_per_clip = (source_tags(provenance[i]) for i in rows)
        first = (next((tag for tag in tags if tag in own), _NO_TAG) for own in tags_per_clip)
        names = [f"{name}|{tag}" for name, tag in zip(names, first, strict=True)]
    return np.array(names)
