"""Near duplicates by perceptual hash: LSH buckets find the same duplicates as comparing all pairs."""

from __future__ import annotations

import numpy as np

from framemill.data_filters.dedup.config import DedupConfig
from framemill.data_filters.dedup.near import distance, near_duplicates
from tests.support.hashed_clips import hashes, mirrored, packed, turned, words

MOST = DedupConfig().near


def brute_force(rows: list[np.ndarray], most: int) -> dict[int, tuple[int, int]]:
    """Returns the duplicates found by comparing every pair bit by bit."""
    gone: dict[int, tuple[int, int]] = {}
    for j, later in enumerate(rows):
        best = None
        for i in (i for i in range(j) if i not in gone):
            for view in (later, mirrored(later)):
                table = (rows[i][:, None, :] != view[None, :, :]).sum(axis=2)
                least = table.min(axis=1) if len(rows[i]) < len(later) else table.min(axis=0)
                far = int(np.sort(least)[(len(least) - 1) // 2])
                best = min(best or (far, i), (far, i))
        if best and best[0] <= most:
            gone[j] = (best[1], best[0])
    return gone


def test_buckets_find_what_comparing_all_pairs_does() -> None:
    rows = []
    for number in range(150):
        frames = turned(hashes(number // 3, frames=3 + number % 5), (0, 8, 16)[number % 3], seed=number)
        rows.append(mirrored(frames) if number % 2 else frames)
    duplicates = near_duplicates([packed(row) for row in rows], [str(n) for n in range(150)], MOST)
    assert duplicates == brute_force(rows, MOST)
    assert len(duplicates) == 100


def test_faster_shorter_and_half_alike_ones() -> None:
    a = hashes(1, frames=10)
    assert distance(words(a), words(a[::2])) == 0, "twice as fast"
    assert distance(words(a), words(np.concatenate([a[7:], hashes(2, 2)]))) == 0, "most of it"
    assert distance(words(a), words(np.concatenate([a[7:], hashes(2, 4)]))) > MOST, "less than half"
    both_ways = np.concatenate([a[:5], mirrored(a[5:])])
    assert distance(words(a), words(both_ways)) == 0 and distance(words(a[:4]), words(mirrored(a))) == 0
    assert distance(words(a), words(a[:0])) == 128, "blank frames have no hash, and repeat nothing"
