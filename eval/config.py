"""Configs of the jobs `evaluate` and `score`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List

from omegaconf import MISSING

from framemill.eval.dimensions.registry import DIMENSIONS
from framemill.platform.config import ClusterConfig, TrackingConfig, key
from framemill.platform.errors import RequestError

_SUITES = ("custom", "vbench")
"""Suites that `evaluate` can plan."""


@dataclass
class EvaluateConfig:
    """Keys of `framemill evaluate`."""

    videos: str = key(MISSING, "folder of the videos to score, as a path or fsspec URI", result=False)
    output: str = key(MISSING, "folder for the scores and the report", result=False)
    suite: str = key(
        "custom",
        "rule that assigns prompts to files; custom: any folder, with prompts from videos.jsonl or from the file "
        "names; vbench: files named $prompt-$index.mp4 for the prompts in prompts_json",
        choices=_SUITES,
    )
    prompts_json: str = key("", "path of the official VBench_full_info.json; required by suite=vbench", result=False)
    samples: int = key(5, "number of videos that suite=vbench expects for each prompt (the benchmark uses 5)")
    dimensions: List[str] = key(
        list, "names of the dimensions to measure; empty: every implemented dimension of the suite"
    )
    timeout_s: float = key(
        300.0, "seconds that one video may take; slower videos stay pending for the next run", result=False
    )
    max_failed: float = key(
        1.0, "largest share of unreadable videos, 0 to 1; the job fails when more are unreadable", result=False
    )
    workers: int = key(0, "number of videos measured in parallel; 0: one per CPU core", result=False)
    tracking: TrackingConfig = key(TrackingConfig, "MLflow tracking", result=False)
    cluster: ClusterConfig = key(ClusterConfig, "Ray cluster", result=False)

    def validate(self) -> None:
        """Checks the keys against each other and against the dimensions that can be measured.

        Raises:
            RequestError: the value of a key is not allowed; the message names the first wrong key.
        """
        if self.suite == "vbench" and not self.prompts_json:
            raise RequestError("prompts_json: must be the path of VBench_full_info.json when suite=vbench")
        if self.samples < 1:
            raise RequestError(f"samples={self.samples}: must be 1 or more (the benchmark uses 5)")
        if not self.timeout_s > 0:
            raise RequestError(f"timeout_s={self.timeout_s}: must be more than 0 seconds")
        if not 0 <= self.max_failed <= 1:
            raise RequestError(f"max_failed={self.max_failed}: must be between 0 and 1")
        for name in self.dimensions:
            if name not in DIMENSIONS:
                raise RequestError(f"dimensions={name}: must be one of {', '.join(DIMENSIONS)}")
            if not DIMENSIONS[name].measurable:
                measurable = ", ".join(other for other in DIMENSIONS if DIMENSIONS[other].measurable)
                raise RequestError(f"dimensions={name}: {DIMENSIONS[name].obstacle}; must be one of {measurable}")


@dataclass
class ScoreConfig:
    """Keys of `framemill score`."""

    results: str = key(MISSING, "path or fsspec URI of a result file in VBench's schema, {dimension: [score, ...]}")
    suite: str = key("vbench", "benchmark whose totals are computed", choices=("vbench", "vbench_i2v"))
