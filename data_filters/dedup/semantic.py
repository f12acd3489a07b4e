"""Semantic duplicates: clips that show much the same, by the cosine of their embeddings (SemDeDup, Abbas et al., 2023).

n clips of d numbers. Up to EXACT clips each is compared with every kept one before it: O(n^2 d). Beyond, the kept ones
lie in 4 sqrt(n) cells around centres (k-means), and only those of the PROBES nearest cells are compared: O(n^1.5 d), of
which a pair that lies apart may be missed where a border runs between, but hardly one above a similarity of use.
Memory: the embeddings twice.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

BATCH = 1024
EXACT = 50_000
PROBES = 16
DECIMALS = 6


def semantic_duplicates(embeddings: np.ndarray, least: float) -> dict[int, tuple[int, float]]:
    """Of clips in order of preference, the best first: {number: (number of the kept clip it repeats, cosine)}.

    A clip goes if its cosine with a kept one before it is at least `least`, to the most similar of them; never for one
    that itself goes.

    Args:
        embeddings: float32 (n, d), each of length 1.
    """
    index = index_for(embeddings)
    gone: dict[int, tuple[int, float]] = {}
    kept: list[int] = []
    for start in range(0, len(embeddings), BATCH):
        batch = embeddings[start : start + BATCH]
        best, who = index.search(batch, 1)
        within = np.round(batch @ batch.T, DECIMALS)
        stays: list[int] = []
        for row in range(len(batch)):
            told = [(within[row, stays].max(), start + stays[int(within[row, stays].argmax())])] if stays else []
            if who[row, 0] >= 0:
                told.insert(0, (np.round(best[row, 0], DECIMALS), kept[who[row, 0]]))
            cosine, other = max(told, key=lambda one: one[0], default=(-1.0, -1))
            if other >= 0 and cosine >= least:
                gone[start + row] = (other, round(float(cosine), DECIMALS))
            else:
                stays.append(row)
        index.add(batch[stays])
        kept += [start + row for row in stays]
    return gone


def index_for(embeddings: np.ndarray) -> Any:
    """An empty faiss index by inner product."""
    import faiss

    # Sums would depend on how many threads share them.
    faiss.omp_set_num_threads(1)
    count, width = embeddings.shape
    flat = faiss.IndexFlatIP(width)
    if count <= EXACT:
        return flat
    index = faiss.IndexIVFFlat(flat, width, 4 * math.isqrt(count), faiss.METRIC_INNER_PRODUCT)
    index.train(embeddings)
    index.nprobe = PROBES
    return index
