"""Which of the clips that passed repeat a better one: copies of the same footage, and much the same footage.

Sources with the same bytes are told apart before, by their content's hash (`select.originals`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from framemill.data_filters.dedup.config import DedupConfig
from framemill.data_filters.dedup.near import near_duplicates
from framemill.data_filters.dedup.semantic import semantic_duplicates
from framemill.data_filters.ledger.clip_table import ClipTable
from framemill.platform.errors import RequestError

Row = Mapping[str, Any]


class Duplicate(NamedTuple):
    kept: str
    """Key of the clip that stays."""
    reason: str


def find_duplicates(config: DedupConfig, passed: Sequence[Row]) -> dict[str, Duplicate]:
    """The clips that go, by key, in whatever order they come: copies first, then of what stays the much alike.

    Args:
        passed: rows of the clips table, those whose scores let them through.

    Raises:
        RequestError: embeddings are asked for and there are none.
    """
    clips = sorted(passed, key=preference)
    found: dict[str, Duplicate] = {}
    if config.near is not None:
        near = near_duplicates([clip["phashes"] for clip in clips], [clip["path"] for clip in clips], config.near)
        for number, (kept, bits) in near.items():
            key = clips[kept]["key"]
            found[clips[number]["key"]] = Duplicate(key, f"near duplicate of {key}, distance {bits}")
    if config.semantic is not None:
        clips = [clip for clip in clips if clip["key"] not in found]
        seen = [clip for clip in clips if clip.get("embedding") is not None]
        if clips and not seen:
            raise RequestError(f"dedup.semantic={config.semantic:g}: no clip has an embedding; it may be null")
        if seen:
            embeddings = np.array([clip["embedding"] for clip in seen], np.float32)
            for number, (kept, cosine) in semantic_duplicates(embeddings, config.semantic).items():
                key = seen[kept]["key"]
                found[seen[number]["key"]] = Duplicate(key, f"semantic duplicate of {key}, similarity {cosine:g}")
    return found


def preference(clip: Row) -> tuple[float, float, str]:
    """Sorts the clip to keep first: of the most pixels between its black bars, then of the highest `technical` score,
    as far as they are measured; then by key."""
    pixels = clip["width"] * clip["height"] * (1 - (clip.get("black_bars") or 0.0))
    return -round(pixels), -(clip.get("technical") or 0.0), clip["key"]


def mark_duplicates(config: DedupConfig, clips: ClipTable) -> None:
    """Gives the kept clips that repeat another the state "duplicate" and the reason."""
    passed = [clips[i] for i, state in enumerate(clips.column("state")) if state == "kept"]
    found = find_duplicates(config, passed)
    for clip in passed:
        if clip["key"] in found:
            clip["state"], clip["reason"] = "duplicate", found[clip["key"]].reason
