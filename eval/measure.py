"""Measurement of one video: a child process decodes the video once, and measures it in all planned dimensions."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from framemill.eval.dimensions.base import CannotMeasure, DecodedVideo
from framemill.eval.dimensions.registry import load_dimension
from framemill.eval.records import DimensionRecord
from framemill.eval.suites import PlannedVideo
from framemill.platform import storage
from framemill.platform.child_process import ChildCrashed, ChildProcess
from framemill.platform.retry import call_with_retry, retry_storage_errors

_MAX_VIDEO_BYTES = 2 << 30
"""Largest size of a decoded video. VBench scores complete videos of under five seconds, which are decoded into memory.
"""


@dataclass(frozen=True)
class VideoItem:
    """One video to measure: an item of work for `measure_item`."""

    uri: str
    video: PlannedVideo
    timeout_s: float


def measure_item(item: VideoItem) -> list[DimensionRecord]:
    """Returns the records of a video, measured in this worker's child process.

    A file that crashes the decoder in every attempt gets failed records.

    Raises:
        RetryLater: a timeout, storage that does not answer, or a child process that was killed by the system.
    """
    try:
        function = "framemill.eval.measure:measure_file"
        records: list[DimensionRecord] = call_with_retry(
            _child(), function, item.uri, item.video, timeout=item.timeout_s
        )
        return records
    except ChildCrashed as error:
        with retry_storage_errors():
            sha256 = storage.sha256_file(item.uri)
        return _failed_records(item.video, sha256, f"the decoder crashed: {error}")


def measure_file(uri: str, video: PlannedVideo) -> list[DimensionRecord]:
    """Returns one record per planned dimension of a video, in order; failed records if the video cannot be read."""
    from framemill.platform.vision.video import VideoError

    with storage.local_copy(uri) as path:
        sha256 = storage.sha256_file(path)
        try:
            decoded = _decode(path, video.prompt)
        except VideoError as error:
            return _failed_records(video, sha256, str(error))
    records = []
    for name in video.dimensions:
        dimension = load_dimension(name)
        try:
            result = dimension.measure(decoded)
            record = DimensionRecord(
                video.name, video.prompt, sha256, name, dimension.version, state="ok", result=result
            )
        except CannotMeasure as error:
            record = _failed_record(video, sha256, name, str(error))
        records.append(record)
    return records


def _failed_records(video: PlannedVideo, sha256: str, reason: str) -> list[DimensionRecord]:
    return [_failed_record(video, sha256, name, reason) for name in video.dimensions]


def _failed_record(video: PlannedVideo, sha256: str, name: str, reason: str) -> DimensionRecord:
    version = load_dimension(name).version
    return DimensionRecord(video.name, video.prompt, sha256, name, version, state="failed", reason=reason)


@functools.cache
def _child() -> ChildProcess:
    """Returns this worker's child process, which is kept from one video to the next."""
    return ChildProcess()


def _decode(path: str, prompt: str) -> DecodedVideo:
    from framemill.platform.vision.video import VideoError, probe, read_video

    info = probe(path)
    if info.frames and info.frames * info.width * info.height * 3 > _MAX_VIDEO_BYTES:
        raise VideoError(
            f"{info.frames} frames of {info.width}x{info.height} are more than {_MAX_VIDEO_BYTES >> 30} GiB: "
            "VBench is for videos of under five seconds"
        )
    return DecodedVideo(read_video(path), info.fps, prompt)
