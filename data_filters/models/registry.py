"""Network scorers by name.

To add a scorer, write a file with a class like `FlowMotion`, add an entry to `SCORERS`, and add a config section with
the name of the entry to `CurateConfig`.
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
    """Registry entry of a scorer, available without importing its module; its config section has its name."""

    columns: tuple[str, ...]
    """Columns of the clips table that the scorer fills."""
    switch: str = "weights"
    """Key of the config section that enables the scorer; the scorer is off if the key is empty or false."""
    vectors: tuple[str, ...] = ()
    """Columns of embeddings that the scorer fills; bands do not apply to embeddings."""
    gpu: bool = True
    """Whether the scorer runs on a GPU if `models.gpus` is more than 0."""


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
"""Scorers in the order in which they run: cheap scorers first, since later scorers skip clips already rejected."""


def load_scorer(spec: ModelSpec) -> Scorer:
    """Returns a new instance of the scorer of `spec`, with its weights loaded.

    Raises:
        RequestError: a weight file is missing, has another sha256, or does not fit the scorer.
    """
    scorer: Scorer = SCORERS.load(spec.scorer)(spec)
    return scorer


def model_spec(name: str, section: Any, device: str = "cpu", batch: int = 8) -> ModelSpec:
    """Returns the spec of a scorer.

    Args:
        name: name in `SCORERS`.
        section: the scorer's section of the config.
        device: "cpu" or "cuda".
        batch: batch size, frames or frame pairs of one clip.
    """
    entry = SCORERS[name]
    return ModelSpec(name, section, device, batch, entry.columns, entry.vectors)


def enabled_specs(sections: Mapping[str, Any], models: ModelsConfig) -> list[ModelSpec]:
    """Returns the specs of the scorers that a config enables, in the order in which they run.

    Args:
        sections: config sections by name of the scorer.
        models: devices and batch size of the scorers.
    """
    specs = []
    for name, entry in SCORERS.items():
        if getattr(sections[name], entry.switch):
            device = "cuda" if models.gpus and entry.gpu else "cpu"
            specs.append(model_spec(name, sections[name], device, models.batch))
    return specs


def advice_on(column: str, known: Sequence[str]) -> str:
    """Returns advice for an error about a score that is not measured: enable its scorer, or name a known score.

    Args:
        column: column of the clips table.
        known: columns that are measured.
    """
    filtered = {name for entry in FILTERS.values() for name in entry.columns}
    for scorer, entry in SCORERS.items():
        if column in entry.columns and column not in filtered:
            return f"{scorer}.{entry.switch} turns it on"
    return f"must be one of {', '.join(known)}"
