"""The clips of a measured source as rows of the clips table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from framemill.data_filters.measure.messages import MeasuredClip
from framemill.data_filters.sources.source import Source

_COLUMNS = ("start_s", "end_s", "first_frame", "frames", "width", "height", "fps", "description", "phashes")


def clip_rows(
    source: Source, source_id: str, caption: str | None, clips: Sequence[MeasuredClip]
) -> list[dict[str, Any]]:
    """The rows of a source's clips, each with its `thumbnail`.

    A key is made of the content's hash and of frame numbers, so it is the same wherever the file is stored.
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
