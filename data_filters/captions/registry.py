"""Captioners by name.

To add a captioner, write a function like `descriptor_text` or a class like `Endpoint`, and add an entry to CAPTIONERS.
A text captioner is a function of the clip's row and costs nothing. A model captioner runs on frames and is slow: it is
asked after selection, for the kept clips only, and its answers are recorded (`answer_store`).
"""

from __future__ import annotations

from dataclasses import dataclass

from framemill.platform.registry import Entry, Registry


@dataclass(frozen=True)
class CaptionerEntry(Entry):
    """Registry entry of a captioner, available without importing its module."""

    model: bool = False
    """Whether the target is a `CaptionModel` class; if not, it is a function from a clip's row to a text or None."""


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
"""Names of the text captioners, in their default order of preference."""
MODEL_CAPTIONERS = tuple(name for name, entry in CAPTIONERS.items() if entry.model)
"""Names of the captioners that run a model."""
