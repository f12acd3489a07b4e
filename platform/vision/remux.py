"""Stream copy: cutting a span out of a video without re-encoding, from a key frame to the end of the span.

The copy begins before the span unless the span starts with a key frame, and may contain reference frames that are shown
after the span. Readers need the in and out points of the span: `iter_frames(path, start_s=..., end_s=...)`.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator
from fractions import Fraction

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from framemill.platform.vision.orientation import orientation_of
from framemill.platform.vision.read import hdr_transfer
from framemill.platform.vision.stream import VideoError, ffmpeg_reason, first_frame, open_video, upright_size
from framemill.platform.vision.timing import StreamTiming, stream_timing

_CODECS = ("h264", "hevc", "vp9", "av1")
"""Codecs that MP4 supports and that browsers and dataset readers play."""
_NAL_CODECS = ("h264", "hevc")
"""Codecs with two packet formats: length-prefixed (mp4, Matroska) and with start codes (Annex B, transport streams)."""
_PIXEL_FORMATS = {"yuv420p", "yuvj420p"}
_DEEP_PIXEL_FORMATS = _PIXEL_FORMATS | {"yuv420p10le"}
"""4:2:0 pixel formats that common players support; 10 bits are supported in all codecs except H.264."""
_TOLERANCE_FRAMES = 0.25
"""Tolerance of recorded times, which are rounded, as a share of a frame's duration; as in `iter_frames`."""
_SEEK_BACK_S = (1.0, 15.0)
"""Seconds before the start at which seeks are tried one after another, before a seek to the beginning of the file.

Seeks use decoding times, which are earlier than presentation times.
"""
_H264_IDR = 5
"""Type of the NAL units of an IDR frame."""


class StreamCopyError(VideoError):
    """A span cannot be stream-copied, only re-encoded. The message is the reason."""


class MustReencodeError(StreamCopyError):
    """A copy of the span would not be shown as it was measured, so the span is re-encoded in every mode."""


def copy_mp4(
    path: str,
    start_s: float,
    end_s: float,
    frames: int,
    size: tuple[int, int],
    *,
    longest_lead_s: float = float("inf"),
    played_height: int | None = None,
) -> tuple[bytes, float]:
    """Returns an mp4 with the packets that show [start_s, end_s) of a video, and the in point.

    The in point is the time in the mp4 that corresponds to start_s, in seconds. Display rotation and pixel aspect ratio
    are kept. The mp4 contains no dates and no writer's name, so equal packets give equal bytes.

    Args:
        path: local path of the video.
        start_s: start of the span, seconds since the video's first frame.
        end_s: end of the span, seconds since the video's first frame.
        frames: number of frames in the span, as counted by decoding.
        size: display size (width, height) of the span's frames, pixels.
        longest_lead_s: maximum length of the copy before the span, seconds.
        played_height: if given, only videos that common players support are copied: with a common pixel format,
            upright, with square pixels, and at most this many pixels high.

    Raises:
        MustReencodeError: the video is interlaced or HDR, its size changes, or its clock jumps back.
        StreamCopyError: the packets cannot be copied so that a reader gets exactly these frames.
        VideoError: the file cannot be read.
    """
    timing = stream_timing(path)
    with open_video(path) as (container, stream):
        first = first_frame(container, stream)
        if not timing.steady:
            raise MustReencodeError("its clock jumps back")
        if first.interlaced_frame:
            raise MustReencodeError("it is interlaced")
        if transfer := hdr_transfer(first):
            raise MustReencodeError(f"it is high dynamic range ({transfer})")
        if upright_size(first, stream) != size:
            raise MustReencodeError("its size changes")
        codec = stream.codec_context.codec.canonical_name
        if codec not in _CODECS:
            raise StreamCopyError(f"{codec} is not copied, only {', '.join(_CODECS)}")
        header = stream.codec_context.extradata or b""
        if codec in _NAL_CODECS and header[:1] != b"\1":
            raise StreamCopyError("its packets are not framed as an mp4's")
        if played_height is not None:
            _check_plays_everywhere(stream, first, played_height)
        if first.pts is None:
            raise StreamCopyError("its frames have no times")
        tick = float(_time_base(stream))
        tolerance = _TOLERANCE_FRAMES / float(timing.rate)
        start = first.pts + (start_s - tolerance) / tick
        end = first.pts + (end_s - tolerance) / tick
        earliest = start - longest_lead_s / tick
        try:
            packets = _select_packets(container, stream, first.pts, (earliest, start, end), timing)
        except av.FFmpegError as error:
            raise StreamCopyError(f"damaged ({ffmpeg_reason(error)})") from error
        _check_packets(packets, start, end, frames)
        in_s = max(0.0, start_s - (_shown(packets[0]) - first.pts) * tick)
        return _mux(stream, packets, timing), in_s


def _check_plays_everywhere(stream: VideoStream, first: VideoFrame, height: int) -> None:
    """Checks that common players support the pixel format, rotation, pixel aspect ratio and size of a video.

    Raises:
        StreamCopyError: some players would not show the video correctly.
    """
    formats = _PIXEL_FORMATS if stream.codec_context.codec.canonical_name == "h264" else _DEEP_PIXEL_FORMATS
    if first.format.name not in formats:
        raise StreamCopyError(f"{first.format.name} does not play everywhere")
    if not orientation_of(first).is_identity or stream.sample_aspect_ratio not in (None, 0, 1):
        raise StreamCopyError("its pictures are turned or stretched for display")
    if first.height > height:
        raise StreamCopyError(f"its pictures are taller than {height} pixels")
    if first.width % 2 or first.height % 2:
        raise StreamCopyError("its sides are odd")


def _time_base(stream: VideoStream) -> Fraction:
    """Returns the unit of a stream's timestamps in seconds.

    Raises:
        StreamCopyError: the stream has no time base.
    """
    if not stream.time_base:
        raise StreamCopyError("its times have no unit")
    return stream.time_base


def _shown(packet: Packet) -> int:
    """Returns the presentation time of a packet in the stream's time base.

    Raises:
        StreamCopyError: the packet has no presentation time.
    """
    if packet.pts is None:
        raise StreamCopyError("not all of its packets have times")
    return packet.pts


def _select_packets(
    container: InputContainer,
    stream: VideoStream,
    first_pts: int,
    span: tuple[float, float, float],
    timing: StreamTiming,
) -> list[Packet]:
    """Returns the packets of a span in decoding order, from the last key frame at or before its start.

    Packets after the key frame that are shown before the key frame (leading pictures, which need earlier frames) are
    excluded.

    Args:
        container: open container.
        stream: video stream of the container.
        first_pts: presentation time of the first frame.
        span: earliest time of the key frame, start and end of the span, in the stream's time base, each reduced by the
            tolerance.
        timing: timing of the stream.

    Raises:
        StreamCopyError: no key frame is within the permitted time before the span.
    """
    earliest, start, end = span
    step = 1 / (timing.rate * _time_base(stream))
    for back in (*(int(seconds / _time_base(stream)) for seconds in _SEEK_BACK_S), None):
        target = first_pts if back is None else max(first_pts, int(start) - back)
        container.seek(target, stream=stream, backward=True)
        packets: list[Packet] = []
        for packet in _until(container.demux(stream), end):
            if earliest <= _shown(packet) < start + 2 * _TOLERANCE_FRAMES * step and _is_entry(stream, packet):
                packets = [packet]
            elif packets:
                packets.append(packet)
        if packets:
            last = max((i for i, packet in enumerate(packets) if _shown(packet) < end), default=0)
            return [packet for packet in packets[: last + 1] if _shown(packet) >= _shown(packets[0])]
        if target <= max(first_pts, earliest):
            break
    raise StreamCopyError("no key frame lies shortly enough before it")


def _until(packets: Iterator[Packet], end: float) -> Iterator[Packet]:
    """Yields packets until no further packet can be shown before `end`."""
    for packet in packets:
        if packet.size == 0:  # PyAV's sign of the end of the file
            return
        if packet.dts is not None and packet.dts >= end:
            return
        yield packet


def _is_entry(stream: VideoStream, packet: Packet) -> bool:
    """Returns whether decoding can begin with this packet: a key frame, which in H.264 must be an IDR frame."""
    if not packet.is_keyframe:
        return False
    return stream.codec_context.codec.canonical_name != "h264" or _H264_IDR in _nal_types(stream, packet)


def _nal_types(stream: VideoStream, packet: Packet) -> Iterator[int]:
    """Yields the types of the NAL units in an H.264 packet of length-prefixed units (mp4, Matroska)."""
    record, data, at = stream.codec_context.extradata or b"", bytes(packet), 0
    prefix = (record[4] & 3) + 1
    while at + prefix < len(data):
        yield data[at + prefix] & 31
        at += prefix + int.from_bytes(data[at : at + prefix], "big")


def _check_packets(packets: list[Packet], start: float, end: float, frames: int) -> None:
    """Checks that a decoder gets exactly the frames of the span from these packets.

    Raises:
        StreamCopyError: packets are damaged, have equal times or new codec headers, or show more or fewer frames.
    """
    if any(packet.is_corrupt or packet.has_sidedata("new_extradata") for packet in packets):
        raise StreamCopyError("its packets are damaged or of changing kind")
    times = [_shown(packet) for packet in packets]
    if len(set(times)) != len(times):
        raise StreamCopyError("two of its packets have the same time")
    inside = sum(start <= time < end for time in times)
    if inside != frames:
        raise StreamCopyError(f"{inside} packets show its {frames} frames")


def _mux(stream: VideoStream, packets: list[Packet], timing: StreamTiming) -> bytes:
    """Returns an mp4 of the packets, starting at time 0, with new decoding times (in some files missing or wrong).

    Raises:
        StreamCopyError: the packets cannot be stored in an mp4.
    """
    origin = _shown(packets[0])
    times = [_shown(packet) - origin for packet in packets]
    order = sorted(times)
    ahead = max(turn - time for turn, time in zip(order, times, strict=True))
    # A frame lasts until the next frame is shown; durations in the container may be rounded or missing.
    lasts = {time: later - time for time, later in itertools.pairwise(order)}
    usual = order[-1] - order[-2] if len(order) > 1 else round(1 / (timing.rate * _time_base(stream)))
    with tempfile.TemporaryDirectory(prefix="framemill-") as folder:
        name = os.path.join(folder, "clip.mp4")
        try:
            with av.open(name, "w", options={"movflags": "+faststart", "fflags": "+bitexact"}) as container:
                copy = container.add_stream_from_template(stream, opaque=True)
                for packet, time, turn in zip(packets, times, order, strict=True):
                    packet.pts, packet.dts, packet.duration = time, turn - ahead, lasts.get(time, usual)
                    packet.stream = copy
                    container.mux(packet)
        except (av.FFmpegError, ValueError) as error:
            raise StreamCopyError("its packets do not fit into an mp4") from error
        with open(name, "rb") as file:
            return file.read()
