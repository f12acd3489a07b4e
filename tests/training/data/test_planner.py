"""The batch plan: bijective, complete, seekable, and the same for any number of workers."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framemill.training.data.planner import StagePlan, key64, permute

ROWS = st.dictionaries(st.sampled_from(["9x48x80", "9x64x64", "9x80x48", "1x64x64"]), st.integers(0, 40), min_size=1)


def plan(counts: dict[str, int], batch_size: int, seed: int = 0) -> StagePlan:
    rows, start = {}, 0
    for bucket, count in counts.items():
        rows[bucket] = list(range(start, start + count))
        start += count
    return StagePlan("low", rows, batch_size, seed)


@given(st.integers(1, 600), st.integers(0, 2**64 - 1))
def test_permutation_is_a_bijection(size: int, key: int) -> None:
    assert sorted(permute(index, size, key) for index in range(size)) == list(range(size))


def test_permutation_reaches_any_position_of_a_huge_range_at_once() -> None:
    size = 10**15 + 7
    images = {permute(index, size, 1) for index in (0, 1, size // 2, size - 1)}
    assert len(images) == 4 and all(0 <= image < size for image in images)
    with pytest.raises(IndexError):
        permute(size, size, 1)


def test_permutations_of_small_ranges_are_spread_evenly() -> None:
    seen = Counter(tuple(permute(i, 4, key64(key)) for i in range(4)) for key in range(4800))
    assert len(seen) == 24
    assert max(seen.values()) < 2 * min(seen.values())


@given(ROWS, st.integers(1, 9), st.integers(0, 3))
def test_an_epoch_holds_each_clip_once_and_the_stated_wrap(counts: dict[str, int], batch_size: int, epoch: int) -> None:
    if not any(counts.values()):
        with pytest.raises(ValueError, match="no rows"):
            plan(counts, batch_size)
        return
    stage = plan(counts, batch_size)
    first = epoch * stage.epoch_batches
    batches = [stage.batch(step) for step in range(first, first + stage.epoch_batches)]
    for bucket, rows in stage.rows.items():
        seen = Counter(row for batch in batches if batch.bucket == bucket for row in batch.rows)
        wrapped = -len(rows) % batch_size
        assert set(seen) == set(rows)
        assert sum(seen.values()) == len(rows) + wrapped
        assert max(seen.values()) <= 1 + -(-wrapped // len(rows))
    assert all(set(batch.rows) <= set(stage.rows[batch.bucket]) for batch in batches)


@given(ROWS.filter(lambda counts: any(counts.values())), st.integers(1, 6), st.integers(0, 10**9))
def test_seeking_equals_reading_on(counts: dict[str, int], batch_size: int, start: int) -> None:
    one, other = plan(counts, batch_size), plan(counts, batch_size)
    onward = [one.batch(step) for step in range(start, start + 5)]
    assert onward[4] == other.batch(start + 4)
    assert one.fingerprint == other.fingerprint


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 50))
def test_ranks_share_the_same_global_batch(workers: int, share: int, step: int) -> None:
    batch = plan({"9x48x80": 31, "9x64x64": 7}, batch_size=12 * share).batch(step)
    positions = [position for rank in range(workers) for position in batch.positions(rank, workers)]
    assert positions == list(range(12 * share))


def test_order_changes_with_epoch_seed_and_fingerprint_with_content() -> None:
    stage = plan({"9x48x80": 64}, 8)
    epochs = [[stage.batch(step).rows for step in range(start, start + 8)] for start in (0, 8)]
    assert epochs[0] != epochs[1]
    other = plan({"9x48x80": 64}, 8, seed=1)
    assert stage.batch(0) != other.batch(0)
    assert len({stage.fingerprint, other.fingerprint, plan({"9x48x80": 65}, 8).fingerprint}) == 3


@given(st.floats(0, 1), st.integers(1, 60), st.integers(1, 6))
def test_steps_on_images_come_evenly_and_in_an_order_of_their_own(share: float, steps: int, size: int) -> None:
    rows = {"9x48x80": list(range(31)), "9x64x64": list(range(31, 38))}
    mixed = StagePlan("low", rows, 4, 0, share, size)
    batches = [mixed.batch(step) for step in range(steps)]
    for count in range(steps + 1):
        assert abs(sum(batch.images for batch in batches[:count]) - share * count) < 1
    alone = StagePlan("low", rows, 4, 0)
    videos = [batch for batch in batches if not batch.images]
    assert videos == [alone.batch(step) for step in range(len(videos))], "the videos' own order is not touched"
    images = [batch for batch in batches if batch.images]
    assert all(len(batch.rows) == size and set(batch.rows) <= set(rows[batch.bucket]) for batch in images)
    assert mixed.batch(steps - 1) == StagePlan("low", rows, 4, 0, share, size).batch(steps - 1)


def test_images_are_part_of_the_fingerprint() -> None:
    rows = {"9x48x80": list(range(31))}
    plans = [StagePlan("low", rows, 4, 0, *more) for more in ((), (0.5,), (0.25,), (0.5, 8))]
    assert len({plan.fingerprint for plan in plans}) == 4
    seen = Counter(row for step in range(0, 62, 2) for row in plans[1].batch(step + 1).rows)
    assert set(seen) == set(range(31)), "31 steps on 4 images go through all clips"
