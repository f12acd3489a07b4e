"""Which of the clips that passed repeat a better one: copies of the same footage, and footage that shows much the same.

Sources with the same bytes are found before, by the hash of their content (`select.states.build_tables`).
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
    """Gives every kept clip that repeats another the state "duplicate"."""
    passed = [clips[i] for i, state in enumerate(clips.column("state")) if state == "kept"]
    duplicates = find_duplicates(config, passed)
    for clip in passed:
        if reason := duplicates.get(clip.key):
            clip.reject("duplicate", reason)


def find_duplicates(config: DedupConfig, passed: Sequence[ClipRow]) -> dict[str, Reason]:
    """The reasons of the clips that repeat a kept one, by key; the order of the clips makes no difference.

    Near duplicates are found first, semantic duplicates among the clips that are left.

    Args:
        config: the thresholds.
        passed: the clips that passed selection.

    Raises:
        RequestError: semantic duplicates are asked for, and no clip has an embedding.
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
            raise RequestError(f"dedup.semantic={config.semantic:g}: no clip has an embedding; it may be null")
        if embedded:
            embeddings = np.array([clip.vector("embedding") for clip in embedded], np.float32)
            for index, (kept, cosine) in semantic_duplicates(embeddings, config.semantic).items():
                other = embedded[kept].key
                reason = Reason(Cause.SEMANTIC_DUPLICATE, other=other, detail=f"similarity {cosine:g}")
                duplicates[embedded[index].key] = reason
    return duplicates


def _preference(clip: ClipRow) -> tuple[float, float, str]:
    """Sort key by which the clip to keep comes first.

    Most pixels between the black bars first, then the highest `technical` score, as far as both are measured, then
    the key.
    """
    pixels = clip.width * clip.height * (1 - (clip.score("black_bars") or 0.0))
    return -round(pixels), -(clip.score("technical") or 0.0), clip.key
