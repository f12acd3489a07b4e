"""The curriculum's stages: learning rates, micro-batches, blocks, and what is refused."""

from __future__ import annotations

import pytest

from framemill.platform.errors import RequestError
from framemill.training.curriculum import CurriculumConfig, StageConfig, block_starts, stage_buckets


def stage(**values: float) -> StageConfig:
    return StageConfig(**{"resolution": 64, "frames": 17, "steps": 10, "batch_size": 8, "lr": 1e-3, **values})


def test_a_curriculum_is_its_stages_in_order() -> None:
    curriculum = CurriculumConfig({"low": stage(steps=3), "high": stage(steps=2)})
    assert curriculum.total_steps == 5 and curriculum.final is curriculum.stages["high"]
    curriculum.validate()
    with pytest.raises(RequestError, match=r"curriculum\.stages: must have at least one stage"):
        CurriculumConfig().validate()


def test_rates_and_shares() -> None:
    ramps = stage(warmup=4, cooldown=3, steps=10, lr=1.0)
    assert [ramps.learning_rate(step) for step in range(10)] == [0.25, 0.5, 0.75, 1, 1, 1, 1, 0.75, 0.5, 0.25]
    assert [stage(lr=0.5, steps=2).learning_rate(step) for step in (0, 1)] == [0.5, 0.5]
    assert stage(batch_size=8, micro_batch=2).micro_batches(2) == 2
    with pytest.raises(RequestError, match="batch_size=8"):
        stage(batch_size=8).micro_batches(3)
    with pytest.raises(RequestError, match="micro_batch=3"):
        stage(batch_size=8, micro_batch=3).micro_batches(2)
    assert stage_buckets(stage())[0].frames == 17


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"lr": 0}, {"frames": 8}, {"warmup": -1}])
def test_impossible_stages_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(RequestError):
        stage(**wrong).validate()


def test_blocks_are_of_equal_length_but_for_the_first() -> None:
    assert block_starts(21, 10) == [0, 11]
    assert block_starts(261, 10) == [0, *range(11, 261, 10)]
    assert block_starts(20, 10) == [0, 10]
    assert block_starts(3, 10) == block_starts(1, 1) == [0]
    assert block_starts(4, 1) == [0, 1, 2, 3]
