"""Probing a video file for its codec, size, frame rate and duration.

Sizes are display sizes, after rotation and with square pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from av.container import InputContainer

from framemill.platform.vision.orientation import orientation_of
from framemill.platform.vision.read import hdr_transfer
from framemill.platform.vision.stream import declared_duration, first_frame, open_video, upright_size
from framemill.platform.vision.timing import stream_timing


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
    """Frames per second; if the rate varies, the rate between the pauses."""
    frames: int | None
    """Number of frames declared by the container; None if it declares none."""
    duration: float | None
    """Declared duration of the video stream in seconds; None if the container declares none."""
    pixel_format: str
    """FFmpeg's name of the pixel format."""
    hdr: str | None
    """Transfer function of a high dynamic range video, "PQ" or "HLG"; else None."""
    interlaced: bool
    """Whether the first frame is interlaced."""
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
            rotation=90 * orientation_of(first).turns,
            fps=float(stream_timing(path).rate),
            frames=stream.frames or None,
            duration=declared_duration(container, stream),
            pixel_format=first.format.name,
            hdr=hdr_transfer(first),
            interlaced=first.interlaced_frame,
            audio=_audio_codec(container),
            tick_s=float(stream.time_base or 0),
        )


def _audio_codec(container: InputContainer) -> str | None:
    """Returns the codec of the first audio stream; None without audio."""
    for stream in container.streams.audio:
        context: Any = stream.codec_context
        return str(context.name) if context is not None else "unknown"
    return None
