"""Captioners: what a clip shows, in words. To add one: a function or a class, and a line here.

`WRITTEN` ones read the clip's row, and cost nothing. `MODELS` look at its frames and are slow: they are asked after
selection, for the kept clips, and each answer is recorded before it counts.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from framemill.data_filters.captions.written import descriptor, joined, sidecar

if TYPE_CHECKING:
    from framemill.data_filters.captions.base import CaptionModel
    from framemill.data_filters.captions.config import CaptionConfig

WRITTEN: dict[str, Callable[[Mapping[str, Any]], str | None]] = {
    "joined": joined,
    "sidecar": sidecar,
    "descriptor": descriptor,
}
MODELS = {"endpoint": "endpoint:Endpoint", "vlm": "vlm:TransformersVlm"}
"""Where each is, known without loading it."""
CAPTIONERS = (*WRITTEN, *MODELS)


def load_model(name: str, settings: CaptionConfig) -> CaptionModel:
    """The model captioner of that name."""
    module, _, kind = MODELS[name].partition(":")
    return getattr(importlib.import_module(f"{__name__}.{module}"), kind)(settings)
