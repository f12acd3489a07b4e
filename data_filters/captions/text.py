"""Text captioners: they read the clip's row, and no frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def joined_text(clip: Mapping[str, Any]) -> str | None:
    """Returns the text that `join.caption` has for the clip or its source."""
    return clip.get("joined_caption")


def sidecar_text(clip: Mapping[str, Any]) -> str | None:
    """Returns the text of the source's sidecar file, which is that of all its clips."""
    return clip["sidecar_caption"]


def descriptor_text(clip: Mapping[str, Any]) -> str | None:
    """Returns one sentence made from the clip's scores and colours (measure/describe.py)."""
    return clip["description"]
