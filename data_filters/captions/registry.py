"""Captioners by name. To add one: a file with a function like `descriptor` or a class like `Endpoint`, and a line here.

A text captioner is a function of the clip's row and costs nothing. A model captioner looks at frames and is slow: it is
asked after selection, for the kept clips only, and each answer is recorded before it counts.
"""

from __future__ import annotations

from dataclasses import dataclass

from framemill.platform.registry import Entry, Registry


@dataclass(frozen=True)
class CaptionerEntry(Entry):
    """A captioner, known without importing it."""

    model: bool = False
    """Whether the target is a `CaptionModel`; else a function from a clip's row to a text or None."""


CAPTIONERS = Registry(
    "captions",
    {
        "joined": CaptionerEntry("framemill.data_filters.captions.text:joined_text"),
        "sidecar": CaptionerEntry("framemill.data_filters.captions.text:sidecar_text"),
        "descriptor": CaptionerEntry("framemill.data_filters.captions.text:descriptor_text"),
        "endpoint": CaptionerEntry("framemill.data_filters.captions.endpoint:Endpoint", model=True),
        "vlm": CaptionerEntry("framemill.data_filters.captions.vlm:TransformersVlm", model=True),
    },
)
TEXT_CAPTIONERS = tuple(name for name, entry in CAPTIONERS.items() if not entry.model)
"""The default order of captioners."""
MODEL_CAPTIONERS = tuple(name for name, entry in CAPTIONERS.items() if entry.model)
