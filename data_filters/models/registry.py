"""Scores that need a network, by name. They are measured after the decode pass, by Ray actors that may share a GPU.

To add one: a file with a class like `FlowMotion`, a line in `SCORERS`, and a section of the same name in
`CurateConfig`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from framemill.data_filters.filters.registry import FILTERS
from framemill.data_filters.models.base import ModelSpec, Scorer
from framemill.data_filters.models.config import ModelsConfig
from framemill.platform.registry import Entry, Registry


@dataclass(frozen=True)
class ScorerEntry(Entry):
    """A scorer, known without importing it. The scorer's config section has the scorer's name."""

    columns: tuple[str, ...]
    """Columns of the clips table that the scorer fills."""
    switch: str = "weights"
    """Key of the config section that turns the scorer on: off while the key is empty or false."""
    vectors: tuple[str, ...] = ()
    """Columns of embeddings, on which there are no bands."""
    gpu: bool = True
    """Whether the scorer runs on a GPU where `models.gpus` gives one."""


SCORERS = Registry(
    "scorer",
    {
        "watermark": ScorerEntry("framemill.data_filters.models.classifier:Watermark", ("watermark",)),
        "unsafe": ScorerEntry("framemill.data_filters.models.classifier:Unsafe", ("unsafe",)),
        "aesthetic": ScorerEntry(
            "framemill.data_filters.models.aesthetic:Aesthetic", ("aesthetic",), vectors=("embedding",)
        ),
        "text_overlay": ScorerEntry(
            "framemill.data_filters.models.text_overlay:TextOverlay", ("text_overlay",), switch="enabled", gpu=False
        ),
        "motion": ScorerEntry("framemill.data_filters.models.flow_motion:FlowMotion", FILTERS["motion"].columns),
        "dover": ScorerEntry(
            "framemill.data_filters.models.dover:Dover", ("dover_technical", "dover_aesthetic", "dover")
        ),
    },
)
"""In the order in which they run: the cheaper first, since the dearer ones skip what those reject."""


def load_scorer(spec: ModelSpec) -> Scorer:
    """Imports a scorer and creates it.

    Raises:
        RequestError: the weights are missing, or are not what they should be.
    """
    scorer: Scorer = SCORERS.load(spec.scorer)(spec)
    return scorer


def model_spec(name: str, section: Any, device: str = "cpu", batch: int = 8) -> ModelSpec:
    """Returns the spec of a scorer.

    Args:
        name: name in `SCORERS`.
        section: the scorer's section of the config.
        device: "cpu" or "cuda".
        batch: frames or frame pairs of a clip in one batch.
    """
    entry = SCORERS[name]
    return ModelSpec(name, section, device, batch, entry.columns, entry.vectors)


def enabled_specs(sections: Mapping[str, Any], models: ModelsConfig) -> list[ModelSpec]:
    """Returns the specs of the scorers that a config turns on, in the order in which they run.

    Args:
        sections: each scorer's section of the config, by the scorer's name.
        models: where and in what batches the networks run.
    """
    specs = []
    for name, entry in SCORERS.items():
        if getattr(sections[name], entry.switch):
            device = "cuda" if models.gpus and entry.gpu else "cpu"
            specs.append(model_spec(name, sections[name], device, models.batch))
    return specs


def advice_on(column: str, known: Sequence[str]) -> str:
    """Returns what to do about a score that nothing measures: turn its scorer on, or name another score."""
    filtered = {name for entry in FILTERS.values() for name in entry.columns}
    for scorer, entry in SCORERS.items():
        if column in entry.columns and column not in filtered:
            return f"{scorer}.{entry.switch} turns it on"
    return f"must be one of {', '.join(known)}"
