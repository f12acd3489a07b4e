"""Progress of video generation, read from its output folder."""

from __future__ import annotations

from framemill.platform import storage
from framemill.platform.dataset_status import GOES_ON


def generation_status(path: str, names: list[str]) -> list[str]:
    """Returns one line with the number of videos that a `generate` job has made; an empty list if there are no videos.

    Args:
        path: the folder, as a path or URI.
        names: names of the files in the folder.
    """
    inside = storage.list_dir(storage.join(path, "videos"))
    videos = [name for name in (*inside, *names) if name.endswith(".mp4")]
    if not videos:
        return []
    complete = "videos.jsonl" in names or "videos.jsonl" in inside
    return [f"generated: {len(videos)} videos{', complete' if complete else f'; {GOES_ON}'}"]
