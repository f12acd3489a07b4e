"""Scores that need a network: measured after the pass, on Ray actors that may share a GPU.

To add one: a file with a class like `FlowMotion`, a line in `SCORERS`, and what its config asks for in `specs_of`.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Protocol

from framemill.data_filters.filters import FILTERS
from framemill.platform import storage
from framemill.platform.cluster import worker_count
from framemill.platform.errors import FramemillError, RequestError

if TYPE_CHECKING:
    from framemill.data_filters.bounds import Stage
    from framemill.data_filters.config import CurateConfig
    from framemill.data_filters.models.views import Views


@dataclass(frozen=True)
class ModelSpec:
    """All that a scorer's result depends on besides the clip, and where its weights lie."""

    scorer: str
    """Its name in SCORERS."""
    backend: str
    weights: str
    sha256: str
    device: str
    """"cpu" or "cuda"."""
    batch: int

    @property
    def columns(self) -> tuple[str, ...]:
        return SCORERS[self.scorer].columns

    @property
    def name(self) -> str:
        """The scorer with eight hex digits over what determines its result."""
        made_from = {name: value for name, value in asdict(self).items() if name != "weights"}
        return f"{self.scorer}-{hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:8]}"


class Scorer(Protocol):
    every_s: float
    """It sees the frames of a clip nearest to each multiple of this, seconds."""

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the pictures that it sees of a source of that size."""

    def score(self, views: Views) -> dict[str, float]:
        """The clip's scores by column."""


@dataclass(frozen=True)
class ScorerEntry:
    """A scorer by name, known without loading it."""

    home: str
    columns: tuple[str, ...]

    def load(self, spec: ModelSpec) -> Scorer:
        """Made of the class's one argument, the spec.

        Raises:
            RequestError: its weights are not what they should be.
        """
        module, _, name = self.home.partition(":")
        scorer: Scorer = getattr(importlib.import_module(f"{__name__}.{module}"), name)(spec)
        return scorer


SCORERS = {"motion": ScorerEntry("flow:FlowMotion", FILTERS["motion"].columns)}


def specs_of(config: CurateConfig) -> list[ModelSpec]:
    """What a config has networks measure, in the order it is done."""
    specs = []
    if config.motion.backend != "dis":
        specs.append(("motion", config.motion.backend, config.motion.weights, config.motion.sha256))
    device = "cuda" if config.models.gpus else "cpu"
    return [ModelSpec(*spec, device, config.models.batch) for spec in specs]


def pass_filters(config: CurateConfig) -> list[str]:
    """The filters that are left to the pass."""
    scored = {spec.scorer for spec in specs_of(config)}
    return [name for name in config.filters if name not in scored]


def bands_known(config: CurateConfig, done: list[ModelSpec]) -> list[Stage]:
    """The rules for what is known once these scorers are done, in the order in which it gets known.

    So what the pass rejects is rejected by the pass, and needs no network's score.
    """
    from framemill.data_filters.bounds import banded, stage_of

    by_models = [column for spec in specs_of(config) for column in spec.columns]
    scores = banded(config.select)
    stages = [[score for score in scores if score not in by_models]]
    stages += [[score for score in spec.columns if score in scores] for spec in done]
    return [stage_of(config.select, names, config.join.columns) for names in stages]


def check_models(config: CurateConfig) -> CurateConfig:
    """The config with the sha256 of its weights filled in, so that the output is known to be theirs.

    Each network is tried on two black pictures, on this machine's CPU.

    Raises:
        RequestError: a weight file is missing, not the one that was meant, or does not work; or too few GPUs are here.
            The message names the key.
    """
    from framemill.data_filters.models.views import black_views

    specs = specs_of(config)
    if specs and config.models.gpus and not config.cluster.address:
        require_gpus(config.models.gpus)
    for spec in specs:
        try:
            scorer = SCORERS[spec.scorer].load(replace(spec, device="cpu"))
            scorer.score(black_views(scorer))
        except FramemillError as error:
            raise RequestError(f"{spec.scorer}.weights={error}") from error
        section = getattr(config, spec.scorer)
        section = replace(section, sha256=section.sha256 or storage.sha256_file(spec.weights))
        config = replace(config, **{spec.scorer: section})
    return config


def actor_count(config: CurateConfig) -> int:
    """How many processes score: as many as was asked for, as the cluster's GPUs hold, or as there are workers."""
    import ray

    if config.models.actors or not config.models.gpus:
        return config.models.actors or worker_count(config.workers)
    return max(1, int(ray.cluster_resources().get("GPU", 0.0) / config.models.gpus))


def require_gpus(gpus: float) -> None:
    """Refuses to begin what would wait for ever: a machine gets no more GPUs, as a cluster may."""
    import torch

    there = torch.cuda.device_count()
    if there < gpus:
        raise RequestError(f"models.gpus={gpus:g}: there are {there} GPUs here; 0 runs on the CPU")
