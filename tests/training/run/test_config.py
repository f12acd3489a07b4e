"""Every curriculum and model loads, and what cannot be trained is refused in one line."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from framemill.platform.compose import compose, config_groups
from framemill.platform.errors import RequestError
from framemill.platform.frozen_config import digest
from framemill.training.curriculum import StageConfig, stage_buckets
from framemill.training.run.config import TrainConfig
from framemill.training.run.train import train

WORDS = ["data=here", "output=there"]


@pytest.mark.parametrize("group", ["curriculum", "model"])
def test_every_choice_loads(group: str) -> None:
    choices = config_groups(TrainConfig)[group]
    assert "tiny" in choices
    for choice in choices:
        config = compose("train", TrainConfig, [*WORDS, f"{group}={choice}"])
        assert config.model.shape().width > 0
        assert all(stage_buckets(stage) for stage in config.curriculum.stages.values())


def test_the_sana_curriculum_goes_from_low_to_high() -> None:
    config = compose("train", TrainConfig, [*WORDS, "curriculum=sana_480p", "model=sana_video_2b"])
    stages = list(config.curriculum.stages.values())
    assert [(stage.resolution, stage.frames) for stage in stages] == [(192, 41), (480, 81)]
    assert "81x480x832" in [bucket.name for bucket in stage_buckets(stages[-1])]


def test_paths_and_workers_are_no_part_of_the_result() -> None:
    plain = compose("train", TrainConfig, WORDS)
    moved = compose("train", TrainConfig, ["data=a", "output=b", "workers=4", "keep_checkpoints=9"])
    assert digest(plain) == digest(moved)
    assert digest(plain) != digest(compose("train", TrainConfig, [*WORDS, "seed=1"]))


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("zero_stage=4", "zero_stage=4: must be one of 0, 1, 2, 3"),
        ("precision=fp16", "precision=fp16: must be one of fp32, bf16"),
        ("curriculum.stages.low.steps=0", "^curriculum.stages.low.steps=0"),
        ("curriculum.stages.low.frames=8", "^curriculum.stages.low.frames=8"),
        ("curriculum.stages.low.flow_shift=nan", "^curriculum.stages.low.flow_shift=nan: must be a number above 0"),
        ("curriculum=giant", "curriculum=giant: must be one of sana_480p, sana_stream, tiny"),
        ("eval.minimum=1", "eval.minimum=1"),
        ("model.patch_size=[2,2,2]", "patch_size"),
        ("caption_dropout=1", "caption_dropout=1"),
        ("curriculum.stages.low.images=1.5", "^curriculum.stages.low.images=1.5: must be a share from 0 to 1"),
        ("curriculum.stages.low.image_batch_size=8", "image_batch_size=8: must be 0 while images=0"),
        ("curriculum.stages.low.block_frames=-1", "block_frames=-1: must be at least 0"),
    ],
)
def test_what_cannot_be_trained_is_refused(word: str, message: str) -> None:
    with pytest.raises(RequestError, match=message.replace("[", r"\[")):
        compose("train", TrainConfig, [*WORDS, word])


def test_no_data_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="nowhere: no dataset here"):
        train(compose("train", TrainConfig, [f"data={tmp_path}/nowhere", f"output={tmp_path}/run"]))


def test_the_configs_need_no_torch() -> None:
    code = """if True:
        import sys
        from framemill.training import ConvertConfig, CurriculumConfig, EncodeConfig, GenerateConfig, TrainConfig
        from framemill.training.model import LinearDiTConfig
        sys.exit(bool({"torch", "ray", "diffusers"} & set(sys.modules)))
    """
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_jobs_are_functions_of_the_package() -> None:
    """Also after the modules that define them were imported, which sets attributes of the package."""
    import framemill.training as package
    from framemill.training.encoding.encode import encode
    from framemill.training.generation.generate import generate
    from framemill.training.weights.convert import convert

    assert (package.encode, package.generate, package.train, package.convert) == (encode, generate, train, convert)
    assert set(package.__all__) == set(dir(package))


def test_images_are_shared_out_over_the_passes_of_a_step() -> None:
    stage = StageConfig(resolution=64, frames=17, steps=1, batch_size=8, micro_batch=2, lr=1.0, images=0.5)
    assert replace(stage, image_batch_size=16).micro_batches(2) == 2
    with pytest.raises(RequestError, match="image_batch_size=6: must be a multiple of 2 workers x 2 micro-batches"):
        replace(stage, image_batch_size=6).micro_batches(2)
    with pytest.raises(RequestError, match=r"images=0\.5: must be 0 with frames=1"):
        replace(stage, frames=1).validate()
