"""Cutting a planned clip out of its source, by stream copy or re-encoding; runs in a decoder process."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from framemill.data_filters.pack.plan import ClipPlan
from framemill.platform.vision.orientation import orientation_of
from framemill.platform.vision.read import (
    UNSPECIFIED_MATRIX,
    DecodedFrame,
    assumed_matrix,
    hdr_transfer,
    iter_decoded_frames,
    to_rgb,
)
from framemill.platform.vision.remux import MustReencodeError, StreamCopyError, copy_mp4
from framemill.platform.vision.video import VideoError
from framemill.platform.vision.write import X264, encode_frames, sample_at_rate, yuv_frame

_MAX_LEAD_S = 0.5
"""`pack.mode=auto` copies packets if the last key frame before the clip is at most this long before its start."""
_PRESET = "superfast"
"""x264's preset: 1.4 times as fast as `veryfast`, with files 25 % to 40 % larger (720p and 360p footage)."""
_FIXED_B_FRAMES = ":b-adapt=0"
"""x264 option for B-frames at fixed positions: without look-ahead, adaptive B-frames are slower and files larger."""
_MATRICES = {1: Colorspace.ITU709, 5: Colorspace.ITU601, 6: Colorspace.ITU601}
"""Colour matrices that re-encoding keeps, by their ITU-T H.273 code."""


@dataclass(frozen=True)
class Cut:
    """Properties of a clip's mp4. The frames of the clip are those that the mp4 shows in [in_s, out_s)."""

    packed: str
    """How the clip was cut: "copy" or "exact"; empty if not recorded."""
    width: int
    """Width, upright, pixels."""
    height: int
    """Height, upright, pixels."""
    frames: int
    """Number of frames of the clip; the mp4 of a copied clip may have more."""
    fps: float
    """Frame rate, frames per second."""
    duration: float
    """Length of the clip, seconds."""
    in_s: float
    """Time of the clip's first frame in the mp4, seconds."""
    out_s: float
    """Time in the mp4 at which the clip ends, seconds."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as JSON values."""
        return asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> Cut:
        """Returns the cut of a dict of its fields; other keys are ignored, and `packed` may be missing."""
        return Cut(
            **{"packed": "", **{entry.name: values[entry.name] for entry in fields(Cut) if entry.name in values}}
        )


def cut_clip(path: str, clip: ClipPlan) -> tuple[bytes, Cut]:
    """Returns the mp4 of a clip and its properties.

    Args:
        path: local file of the source.
        clip: plan of the clip.

    Raises:
        VideoError: the clip cannot be decoded, or `pack.mode=copy` cannot copy its packets.
    """
    if clip.mode == "copy":
        with contextlib.suppress(MustReencodeError):
            return _copy_clip(path, clip)
    elif clip.mode == "auto" and clip.keeps_rate:
        with contextlib.suppress(StreamCopyError):
            return _copy_clip(path, clip, longest_lead_s=_MAX_LEAD_S, played_height=clip.max_height)
    return _exact_clip(path, clip)


def _copy_clip(path: str, clip: ClipPlan, **limits: Any) -> tuple[bytes, Cut]:
    """Returns an mp4 with the clip's packets, from the last key frame at or before its start, and its `Cut`."""
    width, height = clip.source_size
    mp4, in_s = copy_mp4(path, clip.start_s, clip.start_s + clip.seconds, clip.source_frames, (width, height), **limits)
    begin, end = round(in_s, 6), round(in_s + clip.seconds, 6)
    cut = Cut("copy", width, height, clip.source_frames, clip.source_fps, round(clip.seconds, 6), begin, end)
    return mp4, cut


def _exact_clip(path: str, clip: ClipPlan) -> tuple[bytes, Cut]:
    """Returns an mp4 with exactly the clip's frames, re-encoded at the planned rate and size, and its `Cut`."""
    if clip.width < 2 or clip.height < 2:
        raise VideoError(f"{clip.scaled[0]}x{clip.scaled[1]} is too small for H.264")
    decoded = itertools.islice(iter_decoded_frames(path, start_s=clip.start_s), clip.source_frames)
    first = next(decoded, None)
    if first is None:
        raise VideoError(f"no frame at {clip.start_s:.2f} s")
    ticks = sample_at_rate(itertools.chain([first], decoded), clip.fps, clip.seconds)
    matrix = _kept_matrix(first.frame, clip)
    frames: Iterable[VideoFrame]
    if matrix is None:
        matrix = assumed_matrix(clip.height)
        frames = _converted(ticks, clip, matrix)
    else:
        frames = (_scaled(tick.frame, clip.width, clip.height) for tick in ticks)
    x264 = X264 + _FIXED_B_FRAMES
    mp4 = encode_frames(frames, clip.fps, (clip.width, clip.height), matrix, crf=clip.crf, preset=_PRESET, x264=x264)
    duration = round(clip.frames / clip.fps, 6)
    return mp4, Cut("exact", clip.width, clip.height, clip.frames, clip.fps, duration, 0.0, duration)


def _kept_matrix(frame: VideoFrame, clip: ClipPlan) -> Colorspace | None:
    """Returns the colour matrix of frames that need only scaling, or None if frames must be converted through RGB."""
    plain = frame.format.name == "yuv420p" and orientation_of(frame).is_identity
    if (
        not plain
        or hdr_transfer(frame)
        or frame.color_range == ColorRange.JPEG
        or clip.scaled != [clip.width, clip.height]
    ):
        return None
    code = int(frame.colorspace)
    return assumed_matrix(frame.height) if code == UNSPECIFIED_MATRIX else _MATRICES.get(code)


def _scaled(frame: VideoFrame, width: int, height: int) -> VideoFrame:
    """Returns a frame scaled to `width` x `height` as yuv420p; the frame itself if nothing changes."""
    return frame.reformat(width, height, "yuv420p", interpolation=Interpolation.AREA, threads=1)


def _converted(decoded: Iterable[DecodedFrame], clip: ClipPlan, matrix: Colorspace) -> Iterator[VideoFrame]:
    """Yields frames as yuv420p, converted through RGB: rotated upright, scaled, and cropped to even sides."""
    width, height = clip.scaled
    for item in decoded:
        yield yuv_frame(to_rgb(item.frame, width, height)[: clip.height, : clip.width], matrix)
