"""Copying a stretch of a video without decoding it: from a key frame to the stretch's end, packets as they are.

The copy begins before the stretch where no key frame lies at its start, and may hold frames shown after its end that
others are predicted from. Who reads it keeps to the in and out points: `iter_frames(path, start_s=..., end_s=...)`.
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

from framemill.platform.vision.probe import VideoError, ffmpeg_reason, first_frame, frame_rate, open_video

CODECS = ("h264", "hevc", "vp9", "av1")
"""What an mp4 holds and browsers and readers of datasets play."""
FRAMED = ("h264", "hevc")
"""Have two kinds of packets: with lengths in them, as in mp4 and Matroska, or with start codes, as in streams."""
PIXELS = {"yuv420p", "yuvj420p"}
DEEP_PIXELS = PIXELS | {"yuv420p10le"}
"""4:2:0; with ten bits played everywhere but in H.264."""
SLACK_STEPS = 0.25
"""Recorded times are rounded: a quarter of a frame either way finds the same frames again, as `iter_frames` does."""
SEEK_BACK_S = (1.0, 15.0)
"""A seek goes by decoding times, which run ahead of showing times: so far before the start, then from the beginning."""
H264_IDR = 5


class StreamCopyError(VideoError):
    """A stretch that can only be re-encoded. The message says why."""


def copy_mp4(
    path: str,
    start_s: float,
    end_s: float,
    frames: int,
    *,
    longest_lead_s: float = float("inf"),
    played_height: int | None = None,
) -> tuple[bytes, float]:
    """An mp4 with the packets that show [start_s, end_s) of a video, and the in point: where start_s lies in it.

    Both count in seconds from the first frame shown. Display rotation and pixel shape are kept. No dates and no
    writer's name: the same packets give the same bytes.

    Args:
        frames: how many frames the stretch has, as decoding counted them.
        longest_lead_s: the most that may come before the stretch, seconds.
        played_height: where given, only what plays anywhere is copied: a common pixel format, upright, with square
            pixels, and no taller than this.

    Raises:
        StreamCopyError: the packets cannot be copied so that a reader gets just these frames.
        VideoError: the file cannot be read.
    """
    with open_video(path) as (container, stream):
        first = first_frame(container, stream)
        codec = stream.codec_context.codec.canonical_name
        if codec not in CODECS:
            raise StreamCopyError(f"{codec} is not copied, only {', '.join(CODECS)}")
        header = stream.codec_context.extradata or b""
        if codec in FRAMED and header[:1] != b"\1":
            raise StreamCopyError("its packets are not framed as an mp4's")
        if played_height is not None:
            check_plays_anywhere(stream, first, played_height)
        if first.pts is None:
            raise StreamCopyError("its frames have no times")
        tick = float(time_base(stream))
        slack = SLACK_STEPS / float(frame_rate(stream))
        start = first.pts + (start_s - slack) / tick
        end = first.pts + (end_s - slack) / tick
        earliest = start - longest_lead_s / tick
        try:
            packets = packets_of(container, stream, first.pts, (earliest, start, end))
        except av.FFmpegError as error:
            raise StreamCopyError(f"damaged ({ffmpeg_reason(error)})") from error
        check_packets(packets, start, end, frames)
        in_s = max(0.0, start_s - (shown(packets[0]) - first.pts) * tick)
        return mux(stream, packets), in_s


def check_plays_anywhere(stream: VideoStream, first: VideoFrame, height: int) -> None:
    pixels = PIXELS if stream.codec_context.codec.canonical_name == "h264" else DEEP_PIXELS
    if first.format.name not in pixels:
        raise StreamCopyError(f"{first.format.name} does not play everywhere")
    if first.rotation % 360 or stream.sample_aspect_ratio not in (None, 0, 1):
        raise StreamCopyError("its pictures are turned or stretched for display")
    if first.height > height:
        raise StreamCopyError(f"its pictures are taller than {height} pixels")
    if first.width % 2 or first.height % 2:
        raise StreamCopyError("its sides are odd")


def time_base(stream: VideoStream) -> Fraction:
    """Seconds that a stream's times count in."""
    if not stream.time_base:
        raise StreamCopyError("its times have no unit")
    return stream.time_base


def shown(packet: Packet) -> int:
    """When the packet's picture is shown, in the stream's time base."""
    if packet.pts is None:
        raise StreamCopyError("not all of its packets have times")
    return packet.pts


def packets_of(
    container: InputContainer, stream: VideoStream, first_pts: int, span: tuple[float, float, float]
) -> list[Packet]:
    """The packets in decoding order from the last key frame at or before a stretch to the last shown in it.

    `span` is the earliest key frame's time, the stretch's start and its end, in the stream's time base and each a
    little before the frame that it means. Packets after the key frame that show earlier frames than it (its leading
    pictures, which need the frames before) are left out.
    """
    earliest, start, end = span
    step = 1 / (frame_rate(stream) * time_base(stream))
    for back in (*(int(seconds / time_base(stream)) for seconds in SEEK_BACK_S), None):
        target = first_pts if back is None else max(first_pts, int(start) - back)
        container.seek(target, stream=stream, backward=True)
        held: list[Packet] = []
        for packet in until(container.demux(stream), end):
            if earliest <= shown(packet) < start + 2 * SLACK_STEPS * step and is_entry(stream, packet):
                held = [packet]
            elif held:
                held.append(packet)
        if held:
            last = max((i for i, packet in enumerate(held) if shown(packet) < end), default=0)
            return [packet for packet in held[: last + 1] if shown(packet) >= shown(held[0])]
        if target <= max(first_pts, earliest):
            break
    raise StreamCopyError("no key frame lies shortly enough before it")


def until(packets: Iterator[Packet], end: float) -> Iterator[Packet]:
    """Packets as long as one shown before `end` may follow."""
    for packet in packets:
        if packet.size == 0:  # PyAV's sign that the file is at its end
            return
        if packet.dts is not None and packet.dts >= end:
            return
        yield packet


def is_entry(stream: VideoStream, packet: Packet) -> bool:
    """Whether decoding can begin with this packet. An H.264 key frame may be a mere recovery point: only IDR counts."""
    if not packet.is_keyframe:
        return False
    return stream.codec_context.codec.canonical_name != "h264" or H264_IDR in nal_types(stream, packet)


def nal_types(stream: VideoStream, packet: Packet) -> Iterator[int]:
    """The kinds of NAL units in an H.264 packet of length-prefixed units, as mp4 and Matroska hold them."""
    record, data, at = stream.codec_context.extradata or b"", bytes(packet), 0
    prefix = (record[4] & 3) + 1
    while at + prefix < len(data):
        yield data[at + prefix] & 31
        at += prefix + int.from_bytes(data[at : at + prefix], "big")


def check_packets(packets: list[Packet], start: float, end: float, frames: int) -> None:
    """Refuses packets that a decoder would make something else of than the stretch.

    Raises:
        StreamCopyError: damaged ones, new codec headers on the way, times that come twice, or not a frame a packet.
    """
    if any(packet.is_corrupt or packet.has_sidedata("new_extradata") for packet in packets):
        raise StreamCopyError("its packets are damaged or of changing kind")
    times = [shown(packet) for packet in packets]
    if len(set(times)) != len(times):
        raise StreamCopyError("two of its packets have the same time")
    inside = sum(start <= time < end for time in times)
    if inside != frames:
        raise StreamCopyError(f"{inside} packets show its {frames} frames")


def mux(stream: VideoStream, packets: list[Packet]) -> bytes:
    """The packets as an mp4 that shows the first at 0. Decoding times are made anew: some files lack or bend them."""
    origin = shown(packets[0])
    times = [shown(packet) - origin for packet in packets]
    order = sorted(times)
    ahead = max(turn - time for turn, time in zip(order, times, strict=True))
    # A frame lasts to the next one shown: what a container says of it may be rounded, or wanting.
    lasts = {time: later - time for time, later in itertools.pairwise(order)}
    usual = order[-1] - order[-2] if len(order) > 1 else round(1 / (frame_rate(stream) * time_base(stream)))
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
