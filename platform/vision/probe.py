"""What a video file is, before anything is decided about it.

Sizes are those a viewer sees: after the display rotation, with square pixels.
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

FALLBACK_FPS = Fraction(25)
HIGHEST_FPS = 1000
PLAYLISTS = frozenset({"concat", "dash", "hls", "imf", "rtsp", "sdp"})
"""Formats that hold no pictures but name other files: what they show is not their content."""
HDR_TRANSFERS = {16: "PQ", 18: "HLG"}


class VideoError(Exception):
    """A file that cannot be read as video, or not to its end. The message says why."""


@dataclass(frozen=True)
class VideoInfo:
    codec: str
    width: int
    """Pixels, upright."""
    height: int
    """Pixels, upright."""
    rotation: int
    """Degrees counter-clockwise by which stored frames are turned for display: 0, 90, 180 or 270."""
    fps: float
    """Frames a second; the average where the rate varies."""
    frames: int | None
    """As the container declares it; None where it does not."""
    duration: float | None
    """Seconds of the video stream; None where the container does not say."""
    pixel_format: str
    hdr: str | None
    """The transfer function where it is one of high dynamic range: "PQ" or "HLG"."""
    audio: str | None
    """Codec of the first sound track."""
    tick_s: float
    """What the container counts time in, seconds; 0 where it does not say."""


def probe(path: str) -> VideoInfo:
    """Reads the header and the first frame.

    Raises:
        VideoError: not a media file, no video in it, or no frame that can be decoded.
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
            hdr=HDR_TRANSFERS.get(int(first.color_trc)),
            audio=audio_codec(container),
            tick_s=float(stream.time_base or 0),
        )


@contextlib.contextmanager
def open_video(path: str) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container and its best video stream, set to decode on the calling thread alone.

    Raises:
        VideoError: the file cannot be opened or holds no video.
        OSError: the file cannot be reached (absent, no permission).
    """
    # An absolute path is never taken for a protocol ("concat:b.mp4" is a file name too), and only files are followed.
    try:
        container = av.open(os.path.abspath(path), options={"protocol_whitelist": "file"})
    except av.FFmpegError as error:
        if isinstance(error, OSError):
            raise
        raise VideoError(f"not a readable media file ({ffmpeg_reason(error)})") from error
    with container:
        if PLAYLISTS & set(container.format.name.split(",")):
            raise VideoError("a list of other files, not a video")
        stream: Any = container.streams.best("video")
        if stream is None:
            raise VideoError("no video stream" + (", audio only" if container.streams.audio else ""))
        if stream.codec_context is None:
            raise VideoError("its codec is not supported")
        stream.codec_context.thread_count = 1
        yield container, stream


def audio_codec(container: InputContainer) -> str | None:
    for stream in container.streams.audio:
        context: Any = stream.codec_context
        return str(context.name) if context is not None else "unknown"
    return None


def first_frame(container: InputContainer, stream: VideoStream) -> VideoFrame:
    try:
        for frame in container.decode(stream):
            return frame
    except av.FFmpegError as error:
        raise VideoError(f"no frame can be decoded ({ffmpeg_reason(error)})") from error
    raise VideoError("no frame in the video stream")


def upright_size(frame: VideoFrame, stream: VideoStream) -> tuple[int, int]:
    """Width and height for display: pixels made square by stretching the width, then turned."""
    aspect = stream.sample_aspect_ratio or Fraction(1)
    width = max(1, round(frame.width * aspect)) if aspect > 0 else frame.width
    return (frame.height, width) if frame.rotation % 180 else (width, frame.height)


def frame_rate(stream: VideoStream) -> Fraction:
    """The average frame rate, or the container's guess, or 25."""
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate and 0 < rate <= HIGHEST_FPS:
            return Fraction(rate)
    return FALLBACK_FPS


def declared_duration(container: InputContainer, stream: VideoStream) -> float | None:
    """Seconds of the video stream as its header says; None where only the whole file's length is known."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if tag := stream.metadata.get("DURATION"):  # Matroska: "00:00:10.333000000"
        hours, minutes, seconds = tag.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    if container.duration and len(container.streams) == 1:
        return container.duration / av.time_base
    return None


def ffmpeg_reason(error: av.FFmpegError) -> str:
    """FFmpeg's words without its numbers and file names: the same file gives the same reason everywhere."""
    return (error.strerror or type(error).__name__).rstrip(".").lower()
