"""The best clips of those that pass, balanced over classes: what a fine-tuning set is made of."""

from __future__ import annotations

import numpy as np

from framemill.data_filters.ledger.clip_table import ClipTable
from framemill.data_filters.select.bounds import set_tags
from framemill.data_filters.select.config import BestConfig

NO_CLASS = "other"


def keep_best(best: BestConfig, clips: ClipTable) -> None:
    """Filters all kept clips but the `best.clips` best.

    The first of every class come before the second of any: each class gives as many as the others, or all that it
    has. Within a class clips are ranked by score, those with the same by key; one without a score comes last.
    """
    kept = np.flatnonzero(np.array(clips.column("state"), str) == "kept") if len(clips) else np.empty(0, int)
    if not best.clips or len(kept) <= best.clips:
        return
    score = np.nan_to_num(np.array(clips.column(best.by), float)[kept], nan=-np.inf)
    _, whose = np.unique(classes(best, clips, kept), return_inverse=True)
    # Clips are in the order of their keys, and both sorts are stable.
    by_class = np.lexsort((-score, whose))
    starts = np.searchsorted(whose[by_class], np.arange(whose.max() + 1))
    rank = np.empty(len(kept), int)
    rank[by_class] = np.arange(len(kept)) - starts[whose[by_class]]
    state, reason = clips.column("state"), clips.column("reason")
    for i in kept[np.lexsort((-score, rank))[best.clips :]]:
        state[i], reason[i] = "filtered", f"not among the best {best.clips} by {best.by}"


def classes(best: BestConfig, clips: ClipTable, rows: np.ndarray) -> np.ndarray:
    """The class of each of these clips: where it lies between the edges, and which tags its source has."""
    names = [""] * len(rows)
    for score, edges in sorted(best.edges.items()):
        # A clip without a score lies above all edges.
        places = np.searchsorted(sorted(edges), np.array(clips.column(score), float)[rows], side="right").tolist()
        names = [f"{name}|{place}" for name, place in zip(names, places, strict=True)]
    provenance = clips.column("provenance")
    for _, tags in sorted(best.tags.items()):
        held = (set_tags(provenance[i]) for i in rows)
        first = (next((tag for tag in tags if tag in own), NO_CLASS) for own in held)
        names = [f"{name}|{tag}" for name, tag in zip(names, first, strict=True)]
    return np.array(names)
