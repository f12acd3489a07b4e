"""Opening a video file: its video stream, first frame, display size, and what its container states."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from framemill.platform.vision.orientation import orientation_of

_MAX_FPS = 1000
"""Stated frame rates above this are ignored as errors."""
_PLAYLISTS = frozenset({"concat", "dash", "hls", "imf", "rtsp", "sdp"})
"""Formats that only refer to other files."""
_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails
"""Dispositions of streams that hold pictures about the file, such as the cover of a song."""
_DEFAULT_BONUS = 5_000_000
"""Pixels by which a stream that is flagged as default counts as larger, as in ffmpeg (fftools/ffmpeg_mux_init.c)."""


class VideoError(Exception):
    """A file cannot be read as video, or not to its end. The message is the reason."""


@contextlib.contextmanager
def open_video(path: str) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Yields the container and its video stream, with a single decoder thread.

    Of several video streams, the largest is taken; one that is flagged as default counts as 5 megapixels larger.

    Raises:
        VideoError: the file cannot be opened or has no video.
        OSError: there is no such file, or no permission to read it.
    """
    # An absolute path is never parsed as a protocol ("concat:b.mp4" may be a file name); only local files are allowed.
    try:
        container = av.open(os.path.abspath(path), options={"protocol_whitelist": "file"})
    except av.FFmpegError as error:
        if isinstance(error, OSError):
            raise
        raise VideoError(f"not a readable media file ({ffmpeg_reason(error)})") from error
    with container:
        if _PLAYLISTS & set(container.format.name.split(",")):
            raise VideoError("a list of other files, not a video")
        stream = _video_stream(container)
        if stream.codec_context is None:
            raise VideoError("its codec is not supported")
        stream.codec_context.thread_count = 1
        yield container, stream


def _video_stream(container: InputContainer) -> Any:
    """Returns the video stream that ffmpeg would take from a container.

    Raises:
        VideoError: there is none, apart from pictures such as the cover of a song.
    """
    streams = [stream for stream in container.streams.video if not stream.disposition & _PICTURES]
    if not streams:
        what = ", only a cover picture" if container.streams.video else ""
        raise VideoError("no video stream" + (", audio only" if container.streams.audio and not what else what))

    def size(stream: Any) -> int:
        context = stream.codec_context
        pixels = context.width * context.height if context is not None else 0
        return int(pixels) + (_DEFAULT_BONUS if stream.disposition & Disposition.default else 0)

    return max(streams, key=size)


def first_frame(container: InputContainer, stream: VideoStream) -> VideoFrame:
    """Returns the next frame of an open video, decoded.

    Raises:
        VideoError: no frame can be decoded.
    """
    try:
        for frame in container.decode(stream):
            return frame
    except av.FFmpegError as error:
        raise VideoError(f"no frame can be decoded ({ffmpeg_reason(error)})") from error
    raise VideoError("no frame in the video stream")


def upright_size(frame: VideoFrame, stream: VideoStream) -> tuple[int, int]:
    """Returns the display size (width, height): the width times the pixel aspect ratio, then rotated."""
    aspect = stream.sample_aspect_ratio or Fraction(1)
    width = max(1, round(frame.width * aspect)) if aspect > 0 else frame.width
    return (frame.height, width) if orientation_of(frame).turns % 2 else (width, frame.height)


def declared_rates(stream: VideoStream) -> tuple[Fraction, ...]:
    """Returns the frame rates that a container states: the average, then FFmpeg's guess; without impossible ones."""
    rates = (stream.average_rate, stream.guessed_rate)
    return tuple(Fraction(rate) for rate in rates if rate and 0 < rate <= _MAX_FPS)


def declared_duration(container: InputContainer, stream: VideoStream) -> float | None:
    """Returns the declared duration of the video stream in seconds; None if the container does not declare it."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if tag := stream.metadata.get("DURATION"):  # Matroska: "00:00:10.333000000"
        hours, minutes, seconds = tag.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    if container.duration and len(container.streams) == 1:
        return container.duration / av.time_base
    return None


def ffmpeg_reason(error: av.FFmpegError) -> str:
    """Returns FFmpeg's message without error numbers and file names, so that the reason is independent of the path."""
    return (error.strerror or type(error).__name__).rstrip(".").lower()
