"""What `evaluate` and `score` are asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List

from omegaconf import MISSING

from framemill.platform.config import ClusterConfig, TrackingConfig, key
from framemill.platform.errors import RequestError

SUITES = ("custom", "vbench")


@dataclass
class EvaluateConfig:
    videos: str = key(MISSING, "folder (path or URI) of the videos to score", result=False)
    output: str = key(MISSING, "folder for the result", result=False)
    suite: str = key(
        "custom",
        "custom: any folder, prompts from videos.jsonl or else the file names; vbench: $prompt-$index.mp4 for the "
        "prompts of prompts_json",
        choices=SUITES,
    )
    prompts_json: str = key("", "the official VBench_full_info.json; suite=vbench needs it", result=False)
    samples: int = key(5, "suite=vbench: videos expected for each prompt")
    dimensions: List[str] = key(list, "dimensions to measure; empty: every one of the suite that can be measured here")
    timeout_s: float = key(300.0, "seconds one video may take before it is left for the next run", result=False)
    max_failed: float = key(1.0, "share of unreadable videos (0..1) above which the job fails", result=False)
    workers: int = key(0, "videos measured at a time; 0: one for each core", result=False)
    tracking: TrackingConfig = key(TrackingConfig, "MLflow", result=False)
    cluster: ClusterConfig = key(ClusterConfig, "Ray", result=False)

    def validate(self) -> None:
        """Raises RequestError for the first key that makes no sense."""
        from framemill.eval.dimensions.catalogue import CATALOGUE, obstacle

        if self.suite == "vbench" and not self.prompts_json:
            raise RequestError("prompts_json is empty: suite=vbench needs the path of VBench_full_info.json")
        if self.samples < 1:
            raise RequestError(f"samples={self.samples}: it may be 1 or more (the benchmark takes 5)")
        if not self.timeout_s > 0:
            raise RequestError(f"timeout_s={self.timeout_s}: it may be any number of seconds above 0")
        if not 0 <= self.max_failed <= 1:
            raise RequestError(f"max_failed={self.max_failed}: it may be a share from 0 to 1")
        for name in self.dimensions:
            if name not in CATALOGUE:
                raise RequestError(f"dimensions: {name} is unknown; it may be {', '.join(CATALOGUE)}")
            if obstacle(name):
                raise RequestError(f"dimensions: {name} cannot be measured here: {obstacle(name)}")


@dataclass
class ScoreConfig:
    results: str = key(MISSING, "a VBench result file: {dimension: [score, ...]}")
    suite: str = key("vbench", "whose totals", choices=("vbench", "vbench_i2v"))
