"""Duplicates among the clips that passed selection: copies of the same footage, and clips of similar content.

Sources with the same bytes are marked earlier, by the hash of their content (`select.states.build_tables`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from framemill.data_filters.dedup.config import DedupConfig
from framemill.data_filters.dedup.near import near_duplicates
from framemill.data_filters.dedup.semantic import semantic_duplicates
from framemill.data_filters.ledger.clip_table import ClipRow, ClipTable
from framemill.data_filters.ledger.reasons import Cause, Reason
from framemill.platform.errors import RequestError


def mark_duplicates(config: DedupConfig, clips: ClipTable) -> None:
    """Sets the state "duplicate" for every kept clip that is a duplicate of a better clip."""
    passed = [clips[i] for i, state in enumerate(clips.column("state")) if state == "kept"]
    duplicates = find_duplicates(config, passed)
    for clip in passed:
        if reason := duplicates.get(clip.key):
            clip.reject("duplicate", reason)


def find_duplicates(config: DedupConfig, passed: Sequence[ClipRow]) -> dict[str, Reason]:
    """Returns the reasons of the clips that are duplicates of a kept clip, by key.

    The order of `passed` makes no difference. Near duplicates are found first, then semantic duplicates among the other
    clips.

    Args:
        config: the thresholds.
        passed: the clips that passed selection.

    Raises:
        RequestError: `dedup.semantic` is set, and no clip has an embedding.
    """
    clips = sorted(passed, key=_preference)
    duplicates: dict[str, Reason] = {}
    if config.near is not None:
        near = near_duplicates([clip.phashes for clip in clips], [clip.path for clip in clips], config.near)
        for index, (kept, bits) in near.items():
            reason = Reason(Cause.NEAR_DUPLICATE, other=clips[kept].key, detail=f"distance {bits}")
            duplicates[clips[index].key] = reason
    if config.semantic is not None:
        clips = [clip for clip in clips if clip.key not in duplicates]
        embedded = [clip for clip in clips if clip.vector("embedding") is not None]
        if clips and not embedded:
            raise RequestError(f"dedup.semantic={config.semantic:g}: no clip has an embedding; must be null")
        if embedded:
            embeddings = np.array([clip.vector("embedding") for clip in embedded], np.float32)
            for index, (kept, cosine) in semantic_duplicates(embeddings, config.semantic).items():
                other = embedded[kept].key
                reason = Reason(Cause.SEMANTIC_DUPLICATE, other=other, detail=f"similarity {cosine:g}")
                duplicates[embedded[index].key] = reason
    return duplicates


def _preference(clip: ClipRow) -> tuple[float, float, str]:
    """Returns the sort key by which the clip to keep comes first.

    Clips are sorted by the pixels inside the black bars, most first, then by score `technical`, highest first, then by
    key. A score that is not measured counts as 0.
    """
    pixels = clip.width * clip.height * (1 - (clip.score("black_bars") or 0.0))
    return -round(pixels), -(clip.score("technical") or 0.0), clip.key
