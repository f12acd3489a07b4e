"""Rows of the clips table for the clips of a measured source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from framemill.data_filters.measure.messages import MeasuredClip
from framemill.data_filters.sources.source import Source

_COLUMNS = ("start_s", "end_s", "first_frame", "frames", "width", "height", "fps", "description", "phashes")


def clip_rows(
    source: Source, source_id: str, caption: str | None, clips: Sequence[MeasuredClip]
) -> list[dict[str, Any]]:
    """Returns the rows of a source's clips, with their thumbnails.

    A clip's key consists of the hash of the source's content and of frame indices, so it does not depend on where the
    file is stored.

    Args:
        source: the measured source.
        source_id: sha256 of the source's content, hex.
        caption: text of the source's sidecar; None without sidecar.
        clips: clips of the source.
    """
    return [
        {
            "key": f"{source_id[:16]}-{clip.first_frame:07d}-{clip.first_frame + clip.frames:07d}",
            "source_id": source_id,
            "path": source.path,
            **{name: getattr(clip, name) for name in _COLUMNS},
            "thumbnail": clip.thumbnail,
            "sidecar_caption": caption,
            **clip.scores,
        }
        for clip in clips
    ]
