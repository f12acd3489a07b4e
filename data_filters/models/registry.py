"""Scores that need a network: measured after the pass, on Ray actors that may share a GPU.

To add one: a file with a class like `FlowMotion`, a line in `SCORERS`, its keys in `config.py`, a line in `specs_of`.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Protocol

from framemill.data_filters.filters.registry import FILTERS, score_columns
from framemill.data_filters.models.config import TextOverlayConfig
from framemill.platform import storage
from framemill.platform.cluster import worker_count
from framemill.platform.errors import FramemillError, RequestError
from framemill.platform.frozen_config import result_values

if TYPE_CHECKING:
    from framemill.data_filters.config import CurateConfig
    from framemill.data_filters.models.views import Views
    from framemill.data_filters.select.bounds import Stage


Row = dict[str, Any]
Scores = dict[str, Any]
"""A number by column, or a list of them for a column of vectors."""
DIGESTS = {"weights": "sha256", "head": "head_sha256"}
"""The keys of a section that name weight files, and those with their sha256."""


@dataclass(frozen=True)
class ModelSpec:
    """All that a scorer's result depends on besides the clip, and where its weights lie."""

    scorer: str
    """Its name in SCORERS."""
    section: Any
    """Its keys of the config."""
    device: str
    """"cpu" or "cuda"."""
    batch: int

    @property
    def columns(self) -> tuple[str, ...]:
        return SCORERS[self.scorer].columns

    @property
    def vectors(self) -> tuple[str, ...]:
        return SCORERS[self.scorer].vectors

    @property
    def name(self) -> str:
        """The scorer with eight hex digits over what determines its result."""
        made_from = {"device": self.device, "batch": self.batch, **result_values(self.section)}
        return f"{self.scorer}-{hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class FrameRequest:
    """What reads the pictures that a scorer sees of a clip, in a worker's expendable child."""

    function: str
    """"module:name"; it gives Views."""
    arguments: tuple[Any, ...]
    """Those behind the file's path."""


class Scorer(Protocol):
    def look(self, clip: Row) -> FrameRequest:
        """How to see a clip, of which CLIP_FACTS are known."""

    def score(self, views: Views) -> Scores:
        """The clip's scores by column."""


@dataclass(frozen=True)
class ScorerEntry:
    """A scorer by name, known without loading it."""

    home: str
    columns: tuple[str, ...]
    switch: str
    """The key that turns it on; none where a filter measures the same without it."""
    vectors: tuple[str, ...] = ()
    """Columns of lists of numbers, on which there are no bands."""
    gpu: bool = True
    """Whether it runs on a GPU where processes take one."""

    def load(self, spec: ModelSpec) -> Scorer:
        """Made of the class's one argument, the spec.

        Raises:
            RequestError: its weights are not what they should be.
        """
        module, _, name = self.home.partition(":")
        scorer: Scorer = getattr(importlib.import_module(f"framemill.data_filters.models.{module}"), name)(spec)
        return scorer


SCORERS = {
    "watermark": ScorerEntry("classifier:Watermark", ("watermark",), "watermark.weights"),
    "unsafe": ScorerEntry("classifier:Unsafe", ("unsafe",), "unsafe.weights"),
    "aesthetic": ScorerEntry("aesthetic:Aesthetic", ("aesthetic",), "aesthetic.weights", ("embedding",)),
    "text_overlay": ScorerEntry("text_overlay:TextOverlay", ("text_overlay",), "text_overlay.enabled", gpu=False),
    "motion": ScorerEntry("flow_motion:FlowMotion", FILTERS["motion"].columns, ""),
    "dover": ScorerEntry("dover:Dover", ("dover_technical", "dover_aesthetic", "dover"), "dover.weights"),
}
"""In the order in which they are run: the cheaper first, since the dearer need not see what those reject."""


def model_specs(config: CurateConfig) -> list[ModelSpec]:
    """What a config has networks measure, in the order it is done."""
    on = {
        "watermark": bool(config.watermark.weights),
        "unsafe": bool(config.unsafe.weights),
        "aesthetic": bool(config.aesthetic.weights),
        "text_overlay": config.text_overlay.enabled,
        "motion": config.motion.backend != "dis",
        "dover": bool(config.dover.weights),
    }
    devices = {name: "cuda" if config.models.gpus and entry.gpu else "cpu" for name, entry in SCORERS.items()}
    batch = config.models.batch
    return [ModelSpec(name, getattr(config, name), devices[name], batch) for name in SCORERS if on[name]]


def score_columns_of(config: CurateConfig) -> list[str]:
    """The columns of all scores that a config has measured, the filters' first."""
    columns = [*score_columns(config.filters), *(column for spec in model_specs(config) for column in spec.columns)]
    return list(dict.fromkeys(columns))


def vector_columns(config: CurateConfig) -> list[str]:
    """The columns of vectors that a config has measured."""
    return [column for spec in model_specs(config) for column in spec.vectors]


def advice_on(column: str, known: list[str]) -> str:
    """What to do about a column that is none of those known: turn its scorer on, or name another."""
    switches = {name: entry.switch for entry in SCORERS.values() for name in entry.columns if entry.switch}
    return f"{switches[column]} turns it on" if column in switches else f"it may be {', '.join(known)}"


def pass_filters(config: CurateConfig) -> list[str]:
    """The filters that are left to the pass."""
    scored = {spec.scorer for spec in model_specs(config)}
    return [name for name in config.filters if name not in scored]


def rules_by_stage(config: CurateConfig, done: list[ModelSpec]) -> list[Stage]:
    """The rules for what is known once these scorers are done, in the order in which it gets known.

    So what the pass rejects is rejected by the pass, and needs no network's score.
    """
    from framemill.data_filters.select.bounds import scores_with_bands, stage_rules

    by_models = [column for spec in model_specs(config) for column in spec.columns]
    scores = scores_with_bands(config.select)
    stages = [[score for score in scores if score not in by_models]]
    stages += [[score for score in spec.columns if score in scores] for spec in done]
    return [stage_rules(config.select, names, config.join.columns) for names in stages]


def check_models(config: CurateConfig) -> CurateConfig:
    """The config with the sha256 of its weights filled in, so that the output is known to be theirs.

    Each network is tried on two black pictures, on this machine's CPU.

    Raises:
        RequestError: a weight file is missing, not the one that was meant, or does not work; or too few GPUs are here.
            The message names the key.
    """
    from framemill.data_filters.models.views import black_views

    specs = model_specs(config)
    if specs and config.models.gpus and not config.cluster.address:
        require_gpus(config.models.gpus)
    for spec in specs:
        try:
            scorer = SCORERS[spec.scorer].load(replace(spec, device="cpu"))
            scorer.score(black_views(scorer))
        except FramemillError as error:
            raise RequestError(f"{spec.scorer}.{key_at_fault(spec.section, str(error))}={error}") from error
        config = replace(config, **{spec.scorer: with_digests(spec.section)})
    return config


def key_at_fault(section: Any, message: str) -> str:
    """The key whose value a message begins with; else the weights."""
    values = {entry.name: getattr(section, entry.name) for entry in fields(section)}
    return next((name for name, value in values.items() if value and message.startswith(f"{value}:")), "weights")


def with_digests(section: Any) -> Any:
    """A scorer's keys with the sha256 of each of its weight files."""
    from framemill.data_filters.models.text_overlay import networks_sha256

    if isinstance(section, TextOverlayConfig):
        return replace(section, sha256=networks_sha256())
    for name, digest in DIGESTS.items():
        if hasattr(section, name) and not getattr(section, digest):
            section = replace(section, **{digest: storage.sha256_file(getattr(section, name))})
    return section


def actor_count(config: CurateConfig, spec: ModelSpec) -> int:
    """How many processes score: as many as was asked for, as the cluster's GPUs hold, or as there are workers."""
    import ray

    if config.models.actors or spec.device == "cpu":
        return config.models.actors or worker_count(config.workers)
    return max(1, int(ray.cluster_resources().get("GPU", 0.0) / config.models.gpus))


def require_gpus(gpus: float) -> None:
    """Refuses to begin what would wait for ever: a machine gets no more GPUs, as a cluster may."""
    import torch

    there = torch.cuda.device_count()
    if there < gpus:
        raise RequestError(f"models.gpus={gpus:g}: there are {there} GPUs here; 0 runs on the CPU")
