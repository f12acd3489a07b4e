"""Semantic duplicates: clips that show much the same, by the cosine of their embeddings (SemDeDup, Abbas et al., 2023).

For n clips with embeddings of d numbers: up to MAX_EXACT clips, each is compared with every kept clip before it, in
O(n^2 d). Beyond, an inverted file index of 4 sqrt(n) cells (k-means) is searched in the PROBES nearest cells, in
O(n^1.5 d); a pair on either side of a cell's border may then be missed, but hardly one above a threshold of use.
Memory: the embeddings twice.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

_BATCH = 1024
"""Clips searched at once."""
_MAX_EXACT = 50_000
"""Up to this many clips the search is exhaustive."""
_PROBES = 16
"""Cells searched for each clip."""
_DECIMALS = 6
"""Cosines are rounded before they are compared, so that the order of additions does not decide."""


def semantic_duplicates(
    embeddings: np.ndarray, min_cosine: float, batch: int = _BATCH, max_exact: int = _MAX_EXACT
) -> dict[int, tuple[int, float]]:
    """The clips that repeat an earlier one: {index: (index of the kept clip, cosine)}.

    A clip is a duplicate of the most similar kept clip before it, if their cosine is at least `min_cosine`; never of a
    clip that is a duplicate itself.

    Args:
        embeddings: float32 (n, d), each of length 1, in order of preference, best first.
        min_cosine: least cosine of a duplicate.
        batch: clips searched at once; makes no difference to the result.
        max_exact: up to this many clips the search is exhaustive.
    """
    index = _new_index(embeddings, max_exact)
    duplicates: dict[int, tuple[int, float]] = {}
    kept: list[int] = []
    for start in range(0, len(embeddings), batch):
        vectors = embeddings[start : start + batch]
        best, nearest = index.search(vectors, 1)
        within = np.round(vectors @ vectors.T, _DECIMALS)
        stays: list[int] = []
        for row in range(len(vectors)):
            candidates = [(within[row, stays].max(), start + stays[int(within[row, stays].argmax())])] if stays else []
            if nearest[row, 0] >= 0:
                candidates.insert(0, (np.round(best[row, 0], _DECIMALS), kept[nearest[row, 0]]))
            cosine, other = max(candidates, key=lambda candidate: candidate[0], default=(-1.0, -1))
            if other >= 0 and cosine >= min_cosine:
                duplicates[start + row] = (other, round(float(cosine), _DECIMALS))
            else:
                stays.append(row)
        index.add(vectors[stays])
        kept += [start + row for row in stays]
    return duplicates


def _new_index(embeddings: np.ndarray, max_exact: int) -> Any:
    """An empty faiss index by inner product, trained on the embeddings where it has cells."""
    import faiss

    # Sums depend on how many threads share them.
    faiss.omp_set_num_threads(1)
    count, width = embeddings.shape
    flat = faiss.IndexFlatIP(width)
    if count <= max_exact:
        return flat
    index = faiss.IndexIVFFlat(flat, width, 4 * math.isqrt(count), faiss.METRIC_INNER_PRODUCT)
    index.train(embeddings)
    index.nprobe = _PROBES
    return index
