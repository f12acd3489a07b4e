"""Captioners: what a clip shows, in words. Each takes a clip's recorded row and gives a caption, or None."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def sidecar(clip: dict[str, Any]) -> str | None:
    """The text that lies beside the source; it stands for each of its clips."""
    return clip["sidecar_caption"]


def descriptor(clip: dict[str, Any]) -> str | None:
    """One sentence from the measured facts."""
    return clip["description"]


CAPTIONERS: dict[str, Callable[[dict[str, Any]], str | None]] = {"sidecar": sidecar, "descriptor": descriptor}


def caption_of(clip: dict[str, Any], captioners: list[str]) -> str:
    """The first caption that one of the captioners gives, on one line; empty where none does."""
    for name in captioners:
        if text := CAPTIONERS[name](clip):
            return " ".join(text.split())
    return ""
