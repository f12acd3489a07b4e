"""Buckets: the published tables, computed ones, and the nearest to a clip."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framemill.platform.errors import RequestError
from framemill.training.buckets import PUBLISHED, SIDE, Bucket, bucket_table, nearest_bucket
from framemill.training.curriculum import StageConfig, stage_buckets


def stage(**values: float) -> StageConfig:
    return StageConfig(**{"resolution": 64, "frames": 17, "steps": 10, "batch_size": 8, "lr": 1e-3, **values})


def test_published_tables_are_used_as_they_are() -> None:
    assert [(b.height, b.width) for b in bucket_table(480, 81)] == list(PUBLISHED[480])
    assert Bucket(81, 480, 832) in bucket_table(480, 81)
    assert Bucket(81, 704, 1280) in bucket_table(720, 81)


@given(st.integers(32, 1080), st.sampled_from([SIDE, 32]))
def test_computed_tables_keep_area_and_ratio(resolution: int, side: int) -> None:
    table = bucket_table(resolution, 9, side)
    assert len(set(table)) == len(table)
    for bucket in table:
        assert bucket.height % side == bucket.width % side == 0
        if resolution >= 12 * side:
            assert bucket.height * bucket.width == pytest.approx(resolution**2 * 16 / 9, rel=0.15)
    assert nearest_bucket(table, 100, 100).ratio == 1


def test_a_codec_of_stride_32_gets_sides_that_divide() -> None:
    assert bucket_table(720, 81, 32) == bucket_table(720, 81)
    assert all(b.height % 32 == b.width % 32 == 0 for b in stage_buckets(stage(resolution=480, side=32)))
    assert any(b.width % 32 for b in bucket_table(480, 81))


def test_nearest_bucket_follows_the_picture() -> None:
    table = bucket_table(480, 81)
    assert nearest_bucket(table, 1920, 1080) == Bucket(81, 480, 832)
    assert nearest_bucket(table, 1080, 1920) == Bucket(81, 832, 480)
    assert nearest_bucket(table, 640, 480).name == "81x560x720"


def test_bucket_names_read_back() -> None:
    assert Bucket.parse("17x64x112") == Bucket(17, 64, 112)
    with pytest.raises(RequestError, match="17x64x112"):
        Bucket.parse("64x112")


@pytest.mark.parametrize(("frames", "resolution"), [(16, 64), (0, 64), (9, 8)])
def test_impossible_buckets_are_refused(frames: int, resolution: int) -> None:
    with pytest.raises(RequestError):
        bucket_table(resolution, frames)
