"""framemill loop: curate -> encode -> train -> generate -> evaluate in one go."""

from __future__ import annotations

from dataclasses import dataclass

from framemill.data_filters.config import CurateConfig
from framemill.eval.config import EvaluateConfig
from framemill.platform.config import ClusterConfig, TrackingConfig, key
from framemill.training.config import TrainConfig
from framemill.training.job_configs import EncodeConfig, GenerateConfig


@dataclass
class LoopConfig:
    input: str = key(help="dir, glob, file list or URI of video", result=False)
    output: str = key(help="folder for everything: dataset, latents, run, videos, scores", result=False)
    prompts: int = key(4, "how many prompts to generate from: captions of the dataset, evenly spread")
    workers: int = key(0, "workers of every job; 0: one a core", result=False)
    curate: CurateConfig = key(CurateConfig)
    encode: EncodeConfig = key(EncodeConfig)
    train: TrainConfig = key(TrainConfig)
    generate: GenerateConfig = key(GenerateConfig)
    evaluate: EvaluateConfig = key(EvaluateConfig)
    tracking: TrackingConfig = key(TrackingConfig, result=False)
    cluster: ClusterConfig = key(ClusterConfig, result=False)


CONFIG = LoopConfig


def run(config: LoopConfig) -> int:
    from framemill.jobs.loop_stages import run_loop

    return run_loop(config)
