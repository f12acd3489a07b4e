"""Semantic duplicates by embedding: the search finds the same duplicates as comparing all pairs."""

from __future__ import annotations

import numpy as np
import pytest

from framemill.data_filters.dedup.semantic import semantic_duplicates
from tests.support.hashed_clips import unit


def families(seed: int, count: int, width: int = 32) -> np.ndarray:
    """Returns unit vectors around shared centres, at all distances."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(count // 6 + 1, width))
    spread = random.uniform(0.05, 0.8, (count, 1))
    return unit(centres[random.integers(0, len(centres), count)] + spread * random.normal(size=(count, width)))


def greedy(embeddings: np.ndarray, least: float) -> dict[int, int]:
    cosines = np.round(embeddings.astype(np.float64) @ embeddings.T.astype(np.float64), 6)
    gone: dict[int, int] = {}
    for j in range(len(embeddings)):
        kept = [i for i in range(j) if i not in gone]
        if kept and cosines[j, kept].max() >= least:
            gone[j] = kept[int(cosines[j, kept].argmax())]
    return gone


@pytest.mark.parametrize("least", [0.7, 0.9, 0.97])
def test_semantic_equals_comparing_all(least: float) -> None:
    embeddings = families(3, 400)
    expected = greedy(embeddings, least)
    assert 10 < len(expected) < 390
    for batch in (7, 1024):
        duplicates = semantic_duplicates(embeddings, least, batch=batch)
        assert {j: kept for j, (kept, _) in duplicates.items()} == expected
        for j, (kept, cosine) in duplicates.items():
            assert cosine == pytest.approx(float(embeddings[j] @ embeddings[kept]), abs=2e-6)


def test_cells_find_nearly_all_of_it() -> None:
    """More clips than `max_exact`, for which only the nearest cells are searched."""
    embeddings = families(4, 3000)
    exact = semantic_duplicates(embeddings, 0.9)
    cells = semantic_duplicates(embeddings, 0.9, max_exact=1000)
    assert cells == semantic_duplicates(embeddings, 0.9, max_exact=1000)
    assert len(exact) > 500 and len(cells.keys() & exact.keys()) >= 0.98 * len(exact)
