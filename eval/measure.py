"""One video, decoded once, put before every dimension that wants it. Runs in a child process that may be lost."""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass
from typing import Any

from framemill.eval.dimensions import CannotMeasure, Clip, dimension_class
from framemill.eval.suites import Video
from framemill.platform import storage
from framemill.platform.child_process import ChildCrashed, ChildProcess
from framemill.platform.retry import call_with_retry, retry_storage_errors

# VBench scores whole clips of under five seconds, so a video is held in memory; one that does not fit is refused.
MAX_CLIP_BYTES = 2 << 30


@dataclass(frozen=True)
class Record:
    """What one dimension said of one video. `result` is there when state is "ok", `reason` when it is "failed"."""

    video: str
    prompt: str
    sha256: str
    dimension: str
    version: int
    state: str
    reason: str = ""
    result: dict[str, Any] | None = None


def measure_file(uri: str, name: str, prompt: str, dimensions: tuple[str, ...]) -> list[dict[str, Any]]:
    """Records of the video at `uri`, as dictionaries in the order of `dimensions`: failed ones where it is broken."""
    from framemill.platform.vision.video import VideoError

    with storage.local_copy(uri) as path:
        sha256 = storage.sha256_file(path)
        clip: Clip | None
        try:
            clip, unreadable = _decode(path, prompt), ""
        except VideoError as error:
            clip, unreadable = None, str(error)
    records = []
    for wanted in dimensions:
        dimension = dimension_class(wanted)()
        identity = (name, prompt, sha256, wanted, dimension.version)
        try:
            if clip is None:
                raise CannotMeasure(unreadable)
            records.append(Record(*identity, "ok", result=dimension.measure(clip)))
        except CannotMeasure as error:
            records.append(Record(*identity, "failed", reason=str(error)))
    return [asdict(record) for record in records]


@dataclass(frozen=True)
class VideoItem:
    """One video to measure: an item of work for `measure_item`."""

    uri: str
    video: Video
    timeout_s: float


def measure_item(item: VideoItem) -> list[Record]:
    """Returns the records of a video, measured in this worker's child process.

    A file that crashes the decoder in every attempt gets failed records.

    Raises:
        RetryLater: a timeout, storage that does not answer, or a child process that was killed by the system.
    """
    name, prompt, dimensions = item.video.name, item.video.prompt, item.video.dimensions
    try:
        function = "framemill.eval.measure:measure_file"
        records = call_with_retry(_child(), function, item.uri, name, prompt, dimensions, timeout=item.timeout_s)
    except ChildCrashed as error:
        reason = f"the decoder crashed: {error}"
        with retry_storage_errors():
            sha256 = storage.sha256_file(item.uri)
        return [Record(name, prompt, sha256, d, dimension_class(d).version, "failed", reason) for d in dimensions]
    return [Record(**record) for record in records]


@functools.cache
def _child() -> ChildProcess:
    """This worker's child, kept from one video to the next."""
    return ChildProcess()


def _decode(path: str, prompt: str) -> Clip:
    from framemill.platform.vision.video import VideoError, probe, read_video

    info = probe(path)
    if info.frames and info.frames * info.width * info.height * 3 > MAX_CLIP_BYTES:
        raise VideoError(
            f"{info.frames} frames of {info.width}x{info.height} are more than {MAX_CLIP_BYTES >> 30} GiB: "
            "VBench is for clips of under five seconds"
        )
    return Clip(read_video(path), info.fps, prompt)
