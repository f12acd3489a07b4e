"""Captioners that only read a clip's recorded row: what was written beside its source, and what was measured of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def joined(clip: Mapping[str, Any]) -> str | None:
    """The text that `join.caption` has for the clip or its source."""
    return clip.get("joined_caption")


def sidecar(clip: Mapping[str, Any]) -> str | None:
    """The text that lies beside the source; it stands for each of its clips."""
    return clip["sidecar_caption"]


def descriptor(clip: Mapping[str, Any]) -> str | None:
    """One sentence from the measured facts."""
    return clip["description"]
