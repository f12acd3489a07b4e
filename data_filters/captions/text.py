"""Text captioners: they read the clip's row, and no frame."""

from __future__ import annotations

from framemill.data_filters.ledger.clip_table import ClipRow


def joined_text(clip: ClipRow) -> str | None:
    """Returns the text that `join.caption` has for the clip or its source."""
    return clip.text("joined_caption")


def sidecar_text(clip: ClipRow) -> str | None:
    """Returns the text of the source's sidecar file, which is that of all its clips."""
    return clip.sidecar_caption


def descriptor_text(clip: ClipRow) -> str | None:
    """Returns one sentence made from the clip's scores and colours (measure/describe.py)."""
    return clip.description
