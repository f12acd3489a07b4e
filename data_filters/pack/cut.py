"""Cutting a planned clip out of its source: its packets copied, or its pictures encoded again. Runs in a child."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from framemill.data_filters.pack.plan import ClipPlan
from framemill.platform.vision.read import UNSPECIFIED_MATRIX, DecodedFrame, assumed_matrix, iter_decoded_frames, to_rgb
from framemill.platform.vision.remux import StreamCopyError, copy_mp4
from framemill.platform.vision.video import VideoError
from framemill.platform.vision.write import X264, encode_frames, sample_at_rate, yuv_frame

LONGEST_LEAD_S = 0.5
"""`auto` copies where a key frame lies no further before the clip's start."""
PRESET = "superfast"
"""x264's: 1.4 times as fast as `veryfast`, in files a quarter to two fifths larger (720p and 360p footage)."""
FIXED_B_FRAMES = ":b-adapt=0"
"""Choosing their places without looking ahead costs time and makes files larger."""
MATRICES = {1: Colorspace.ITU709, 5: Colorspace.ITU601, 6: Colorspace.ITU601}
"""H.273 codes of the colour matrices that need no change."""


@dataclass(frozen=True)
class Cut:
    """What became of a clip: the mp4's pictures, and which of them are the clip: those shown in [in_s, out_s)."""

    packed: str
    """"copy" or "exact"."""
    width: int
    height: int
    frames: int
    """Of the clip; the mp4 of a copied one may hold more."""
    fps: float
    duration: float
    """Seconds, of the clip."""
    in_s: float
    out_s: float

    def values(self) -> dict[str, Any]:
        return {
            "width": self.width,
            "height": self.height,
            "frames": self.frames,
            "fps": self.fps,
            "duration": self.duration,
            "in_s": self.in_s,
            "out_s": self.out_s,
        }


def cut_clip(path: str, clip: ClipPlan) -> tuple[bytes, Cut]:
    """The mp4 of a clip, and what it is.

    Raises:
        VideoError: the clip cannot be read again as it was measured, or not be copied where nothing else is allowed.
    """
    if clip.mode == "copy":
        return copy_clip(path, clip)
    if clip.mode == "auto" and clip.keeps_rate:
        try:
            return copy_clip(path, clip, longest_lead_s=LONGEST_LEAD_S, played_height=clip.max_height)
        except StreamCopyError:
            pass
    return exact_clip(path, clip)


def copy_clip(path: str, clip: ClipPlan, **limits: Any) -> tuple[bytes, Cut]:
    """The clip's packets as they are, from the key frame before its start."""
    mp4, in_s = copy_mp4(path, clip.start_s, clip.start_s + clip.seconds, clip.source_frames, **limits)
    width, height = clip.source_size
    begin, end = round(in_s, 6), round(in_s + clip.seconds, 6)
    cut = Cut("copy", width, height, clip.source_frames, clip.source_fps, round(clip.seconds, 6), begin, end)
    return mp4, cut


def exact_clip(path: str, clip: ClipPlan) -> tuple[bytes, Cut]:
    """Exactly the clip's frames, upright, at the planned rate and size."""
    if clip.width < 2 or clip.height < 2:
        raise VideoError(f"{clip.scaled[0]}x{clip.scaled[1]} is too small for H.264")
    shown = itertools.islice(iter_decoded_frames(path, start_s=clip.start_s), clip.source_frames)
    first = next(shown, None)
    if first is None:
        raise VideoError(f"no frame at {clip.start_s:.2f} s")
    ticks = sample_at_rate(itertools.chain([first], shown), clip.fps, clip.seconds)
    matrix = plain_matrix(first.frame, clip)
    pictures: Iterable[VideoFrame]
    if matrix is None:
        matrix = assumed_matrix(clip.height)
        pictures = redrawn(ticks, clip, matrix)
    else:
        pictures = (scaled(one.frame, clip.width, clip.height) for one in ticks)
    x264 = X264 + FIXED_B_FRAMES
    mp4 = encode_frames(pictures, clip.fps, (clip.width, clip.height), matrix, crf=clip.crf, preset=PRESET, x264=x264)
    duration = round(clip.frames / clip.fps, 6)
    return mp4, Cut("exact", clip.width, clip.height, clip.frames, clip.fps, duration, 0.0, duration)


def plain_matrix(frame: VideoFrame, clip: ClipPlan) -> Colorspace | None:
    """The colour matrix of pictures that can be encoded as they were decoded, scaled at most; None for others."""
    plain = frame.format.name == "yuv420p" and frame.rotation % 360 == 0
    if not plain or frame.color_range == ColorRange.JPEG or clip.scaled != [clip.width, clip.height]:
        return None
    code = int(frame.colorspace)
    return assumed_matrix(frame.height) if code == UNSPECIFIED_MATRIX else MATRICES.get(code)


def scaled(frame: VideoFrame, width: int, height: int) -> VideoFrame:
    """The picture at that size: itself where it has it."""
    return frame.reformat(width, height, "yuv420p", interpolation=Interpolation.AREA, threads=1)


def redrawn(pictures: Iterable[DecodedFrame], clip: ClipPlan, matrix: Colorspace) -> Iterator[VideoFrame]:
    """Pictures turned upright, scaled, and cut to even sides, by way of RGB."""
    wide, high = clip.scaled
    for one in pictures:
        yield yuv_frame(to_rgb(one.frame, wide, high)[: clip.height, : clip.width], matrix)
