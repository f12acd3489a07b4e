"""Probing a video file for its codec, size, frame rate and duration.

Sizes are display sizes, after rotation and with square pixels.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

_FALLBACK_FPS = Fraction(25)
"""Frame rate assumed for files without a stated rate."""
_MAX_FPS = 1000
"""Stated frame rates above this are ignored as errors."""
_PLAYLISTS = frozenset({"concat", "dash", "hls", "imf", "rtsp", "sdp"})
"""Formats that only refer to other files."""
_HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
"""HDR transfer functions by number in ITU-T H.273, table 3."""


class VideoError(Exception):
    """A file cannot be read as video, or not to its end. The message is the reason."""


@dataclass(frozen=True)
class VideoInfo:
    """Properties of a video file."""

    codec: str
    """FFmpeg's name of the video codec."""
    width: int
    """Display width in pixels."""
    height: int
    """Display height in pixels."""
    rotation: int
    """Degrees counter-clockwise by which stored frames are rotated for display: 0, 90, 180 or 270."""
    fps: float
    """Frames per second; the average if the rate varies."""
    frames: int | None
    """Number of frames declared by the container; None if it declares none."""
    duration: float | None
    """Declared duration of the video stream in seconds; None if the container declares none."""
    pixel_format: str
    """FFmpeg's name of the pixel format."""
    hdr: str | None
    """Transfer function of a high dynamic range video, "PQ" or "HLG"; else None."""
    audio: str | None
    """Codec of the first audio stream; None without audio."""
    tick_s: float
    """Unit of the container's timestamps in seconds; 0 if unknown."""


def probe(path: str) -> VideoInfo:
    """Returns the properties of a video file, from its header and first frame.

    Raises:
        VideoError: the file is not a media file, has no video stream, or its first frame cannot be decoded.
        OSError: there is no such file, or no permission to read it.
    """
    with open_video(path) as (container, stream):
        first = first_frame(container, stream)
        width, height = upright_size(first, stream)
        return VideoInfo(
            codec=stream.codec_context.name,
            width=width,
            height=height,
            rotation=first.rotation % 360,
            fps=float(frame_rate(stream)),
            frames=stream.frames or None,
            duration=declared_duration(container, stream),
            pixel_format=first.format.name,
            hdr=_HDR_TRANSFERS.get(int(first.color_trc)),
            audio=_audio_codec(container),
            tick_s=float(stream.time_base or 0),
        )


@contextlib.contextmanager
def open_video(path: str) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Yields the container and its best video stream, with a single decoder thread.

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
        stream: Any = container.streams.best("video")
        if stream is None:
            raise VideoError("no video stream" + (", audio only" if container.streams.audio else ""))
        if stream.codec_context is None:
            raise VideoError("its codec is not supported")
        stream.codec_context.thread_count = 1
        yield container, stream


def _audio_codec(container: InputContainer) -> str | None:
    """Returns the codec of the first audio stream; None without audio."""
    for stream in container.streams.audio:
        context: Any = stream.codec_context
        return str(context.name) if context is not None else "unknown"
    return None


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
    return (frame.height, width) if frame.rotation % 180 else (width, frame.height)


def frame_rate(stream: VideoStream) -> Fraction:
    """Returns the average frame rate of a stream; if unknown, FFmpeg's guess, or else 25."""
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate and 0 < rate <= _MAX_FPS:
            return Fraction(rate)
    return _FALLBACK_FPS


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
