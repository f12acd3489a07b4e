"""Semantic duplicates: clips of similar content, by the cosine of their embeddings (SemDeDup, Abbas et al., 2023).

For n clips with embeddings of d numbers: up to _MAX_EXACT clips, each clip is compared with every earlier clip that is
kept, in O(n^2 d). Above that, an inverted file index of 4 sqrt(n) cells (k-means) is searched in the _PROBES nearest
cells, in O(n^1.5 d); pairs across the border of two cells may then be missed, though rarely at thresholds of practical
use. The embeddings are in memory twice.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

_BATCH = 1024
"""Number of clips searched at once."""
_MAX_EXACT = 50_000
"""Up to this many clips the search is exhaustive."""
_PROBES = 16
"""Number of cells searched for each clip."""
_DECIMALS = 6
"""Decimals to which cosines are rounded before they are compared, so that the order of additions does not matter."""


def semantic_duplicates(
    embeddings: np.ndarray, min_cosine: float, batch: int = _BATCH, max_exact: int = _MAX_EXACT
) -> dict[int, tuple[int, float]]:
    """Returns the semantic duplicates: {index of the clip: (index of the kept clip, cosine)}.

    A clip is a duplicate of the most similar earlier clip that is kept, if their cosine is at least `min_cosine`; it is
    never a duplicate of another duplicate.

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
    """Returns an empty faiss inner-product index, trained on the embeddings if it has cells."""
    import faiss

    # Floating-point sums depend on the number of threads.
    faiss.omp_set_num_threads(1)
    count, width = embeddings.shape
    flat = faiss.IndexFlatIP(width)
    if count <= max_exact:
        return flat
    index = faiss.IndexIVFFlat(flat, width, 4 * math.isqrt(count), faiss.METRIC_INNER_PRODUCT)
    index.train(embeddings)
    index.nprobe = _PROBES
    return index
