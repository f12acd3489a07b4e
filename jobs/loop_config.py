"""The config of `loop` and `demo`: the configs of five jobs, whose paths conf/loop.yaml connects."""

from __future__ import annotations

from dataclasses import dataclass, replace

from framemill.data_filters.config import CurateConfig
from framemill.eval.config import EvaluateConfig
from framemill.platform.config import ClusterConfig, TrackingConfig, key
from framemill.training.encoding.config import EncodeConfig
from framemill.training.generation.config import GenerateConfig
from framemill.training.run.config import TrainConfig


@dataclass
class LoopConfig:
    """The keys of `loop` and `demo`."""

    input: str = key(help="videos: folder, glob, file list or URI", result=False)
    output: str = key(help="output folder of all jobs: dataset, latents, run, videos, scores", result=False)
    prompts: int = key(4, "number of videos to generate, from captions evenly spread over the dataset")
    workers: int = key(0, "number of workers of every job; 0: one per CPU core", result=False)
    curate: CurateConfig = key(CurateConfig)
    encode: EncodeConfig = key(EncodeConfig)
    train: TrainConfig = key(TrainConfig)
    generate: GenerateConfig = key(GenerateConfig)
    evaluate: EvaluateConfig = key(EvaluateConfig)
    tracking: TrackingConfig = key(TrackingConfig, result=False)
    cluster: ClusterConfig = key(ClusterConfig, result=False)

    def with_tracking(self, uri: str) -> LoopConfig:
        """Returns a copy of the config in which all jobs record in the MLflow store `uri`."""
        return replace(
            self,
            curate=replace(self.curate, tracking=replace(self.curate.tracking, uri=uri)),
            train=replace(self.train, tracking=replace(self.train.tracking, uri=uri)),
            evaluate=replace(self.evaluate, tracking=replace(self.evaluate.tracking, uri=uri)),
        )
