"""The layout of cosmos-curate's `shard` pipeline: tars of video, and parallel tars of metadata.

    v0/resolution_720/aspect_ratio_16_9/frames_0_255/video/part_000000/000000.tar    <clip uuid>.mp4
    v0/resolution_720/aspect_ratio_16_9/frames_0_255/metas/part_000000/000000.tar    <clip uuid>.json
    v0/resolution_720/aspect_ratio_16_9/frames_0_255/t5_xxl/part_000000/000000.tar   <clip uuid>.pickle

The metadata have a clip's origin, its scores, and a caption for each window of frames. Source:
cosmos_curate/pipelines/video/sharding_pipeline.py and read_write/metadata_writer_stage.py.
"""

from __future__ import annotations

import re
from typing import Any

METAS = "metas"
"""Name of the folder of metadata, and key of the metadata in a source's provenance."""
_VIDEO_TAR = re.compile(r"(?P<bin>.*/|)video/(?P<tar>part_\d+/\d+\.tar)", re.DOTALL)


def metas_uri(archive: str) -> str | None:
    """Returns the URI of the tar with the metadata of a tar of video; None if the path has another layout."""
    match = _VIDEO_TAR.fullmatch(archive)
    return f"{match['bin']}{METAS}/{match['tar']}" if match else None


def metas_caption(metas: dict[str, Any]) -> str | None:
    """Returns the first caption in a clip's metadata, an enhanced caption if there is one; None without a caption.

    A window is {"start_frame": ..., "end_frame": ..., "<model>_caption": ..., "<model>_enhanced_caption": ...}.
    """
    windows = metas.get("windows")
    for window in windows if isinstance(windows, list) else []:
        values = window if isinstance(window, dict) else {}
        for suffix in ("_enhanced_caption", "_caption"):
            for name in sorted(values):
                if name.endswith(suffix) and isinstance(values[name], str) and values[name].strip():
                    return str(values[name]).strip()
    return None
