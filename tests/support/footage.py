"""Footage of every awkward kind, written by PyAV directly: each function makes one file."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from framemill.platform.vision.reel import Scene, render_scene
from framemill.platform.vision.video import encode_mp4

WIDTH, HEIGHT, FPS = 128, 72, 8
SECONDS = 2.5
SHOT_FPS = 16


def shot(*scenes: Scene, seed: int = 0, seconds: float = 2.5) -> bytes:
    """An mp4 of scenes one after another."""
    return encode_mp4(
        (frame for i, scene in enumerate(scenes) for frame in render_scene(scene, seed + i, seconds)), SHOT_FPS
    )


def moving(
    seed: int, seconds: float = SECONDS, fps: float = FPS, size: tuple[int, int] = (WIDTH, HEIGHT)
) -> np.ndarray:
    """Pictures (T, H, W, 3) of one moving scene that no other seed gives."""
    import cv2

    colours = ("red", "green", "blue", "yellow")
    scene = Scene(colours[seed % 4], "grey", direction=("left", "right", "up", "down")[seed // 4 % 4])
    frames = list(render_scene(scene, seed, seconds))
    wanted = max(1, round(seconds * fps))
    chosen = [frames[i * len(frames) // wanted] for i in range(wanted)]
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in chosen])


def write(
    path: Path,
    frames: np.ndarray,
    *,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    rate: float = FPS,
    times_ms: list[int] | None = None,
    rotation: int = 0,
    options: dict[str, str] | None = None,
    faststart: bool = False,
) -> Path:
    """Frames shown at a constant rate, or each at its own time."""
    muxing = {"movflags": "+faststart"} if faststart else {}
    with av.open(str(path), "w", options=muxing) as container:
        stream = container.add_stream(codec, rate=Fraction(rate).limit_denominator(1000), options=options or {})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pixel_format
        stream.codec_context.thread_count = 1
        if rotation:
            stream.set_display_rotation(rotation)
        if times_ms:
            stream.codec_context.time_base = Fraction(1, 1000)
        for index, rgb in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            if times_ms:
                picture.pts, picture.time_base = times_ms[index], Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def restamp(source: Path, path: Path, stamps: list[tuple[int, int]], options: dict[str, str] | None = None) -> Path:
    """The packets of a file under other (decoding, showing) times, in milliseconds."""
    with av.open(str(source)) as given, av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream_from_template(given.streams.video[0])
        stream.time_base = Fraction(1, 1000)
        packets = [packet for packet in given.demux(video=0) if packet.size]
        for packet, (decoded, shown) in zip(packets, stamps, strict=True):
            packet.time_base, packet.dts, packet.pts, packet.stream = Fraction(1, 1000), decoded, shown, stream
            container.mux(packet)
    return path


def again_and_again(source: Path, path: Path, frame_s: float, seconds: float) -> Path:
    """The packets of a file over and over, copied as they are: hours of video in a small file."""
    with av.open(str(source)) as given, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(given.streams.video[0])
        stream.time_base = Fraction(1, 1000)
        packets = [bytes(packet) for packet in given.demux(video=0) if packet.size]
        step = round(frame_s * 1000)
        for index in range(round(seconds / frame_s)):
            packet = av.Packet(packets[index % len(packets)])
            packet.time_base, packet.dts, packet.pts = Fraction(1, 1000), index * step, index * step
            packet.duration, packet.is_keyframe, packet.stream = step, index % len(packets) == 0, stream
            container.mux(packet)
    return path


def sound(path: Path) -> Path:
    """A second of sound and nothing to see."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        samples = np.zeros((1, 44100), np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def words(path: Path) -> Path:
    """A container with one line of subtitles, and no pictures or sound."""
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_mux_stream("subrip")
        stream.time_base = Fraction(1, 1000)
        packet = av.Packet(b"Nothing to see.")
        packet.time_base, packet.pts, packet.dts, packet.duration, packet.stream = Fraction(1, 1000), 0, 0, 1000, stream
        container.mux(packet)
    return path
