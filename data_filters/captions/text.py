"""Text captioners, which take a caption from the clip's row without reading frames."""

from __future__ import annotations

from framemill.data_filters.ledger.clip_table import ClipRow


def joined_text(clip: ClipRow) -> str | None:
    """Returns the caption joined from the table column `join.caption`, for the clip or its source."""
    return clip.text("joined_caption")


def sidecar_text(clip: ClipRow) -> str | None:
    """Returns the text of the source's sidecar file, which all clips of the source share."""
    return clip.sidecar_caption


def descriptor_text(clip: ClipRow) -> str | None:
    """Returns the sentence that `measure/describe.py` made from the clip's scores and colours."""
    return clip.description
