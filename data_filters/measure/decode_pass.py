"""The decode pass, which measures one source; runs in a worker's decoder process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

import cv2
import numpy as np

from framemill.data_filters.filters.clip_frames import ClipFrames, small_size
from framemill.data_filters.filters.registry import SCORE_DECIMALS, Filter, load_filter
from framemill.data_filters.ledger.reasons import Cause, Reason
from framemill.data_filters.measure.describe import describe
from framemill.data_filters.measure.keyframe_filter import keyframe_prefilter
from framemill.data_filters.measure.messages import Ended, MeasuredClip, MeasureSettings, SourceFacts
from framemill.data_filters.measure.phash import phash
from framemill.data_filters.measure.splitter import Splitter
from framemill.platform.storage import sha256_file
from framemill.platform.vision.downscale import downscale
from framemill.platform.vision.frame_rate_monitor import FrameRateMonitor
from framemill.platform.vision.probe import VideoInfo, probe
from framemill.platform.vision.read import DecodedFrame, Frame, iter_decoded_frames
from framemill.platform.vision.stream import VideoError
from framemill.platform.vision.timing import rate_of_steps

_THUMBNAIL_WIDTH = 160
"""Width of thumbnails, pixels."""


def measure_source(path: str, settings: MeasureSettings) -> Iterator[SourceFacts | MeasuredClip | Ended]:
    """Yields the `SourceFacts` of a local file, a `MeasuredClip` for each clip once it is complete, and an `Ended`.

    A truncated file yields its complete clips, then an `Ended` with the reason. A file that the key-frame pre-filter
    rejects yields no clip and an `Ended` with the reason.

    Args:
        path: local path of the source.
        settings: splitting, filters and pre-filter.

    Raises:
        OSError: the file cannot be opened.
    """
    cv2.setNumThreads(1)
    source_id = sha256_file(path)
    try:
        info = probe(path)
    except VideoError as error:
        yield SourceFacts(source_id)
        yield Ended(Reason(Cause.UNREADABLE, detail=str(error)))
        return
    yield SourceFacts(source_id, info)
    if (limits := settings.keyframe_prefilter) and (rejection := keyframe_prefilter(path, info, limits)) is not None:
        yield Ended(Reason(Cause.PREFILTERED, detail=rejection))
        return
    frame_rate = FrameRateMonitor(info.tick_s)
    filters = [load_filter(name) for name in settings.filters]
    reason = None
    splitter: Splitter | None = None
    try:
        for decoded in frame_rate.watch(iter_decoded_frames(path)):
            if splitter is None or not decoded.continues:
                yield from _measured_clips(splitter.finish() if splitter else (), filters, info)
                splitter = _splitter(info.fps, decoded, settings)
            small = downscale(decoded.frame, *small_size(*decoded.upright))
            clips = splitter.push(Frame(decoded.index, decoded.time_s, small))
            yield from _measured_clips(clips, filters, info)
    except VideoError as error:
        reason = Reason(Cause.UNREADABLE, detail=str(error))
    yield from _measured_clips(splitter.finish() if splitter else (), filters, info)
    yield Ended(reason, fps_varies=frame_rate.is_variable)


def _splitter(fps: float, first: DecodedFrame, settings: MeasureSettings) -> Splitter:
    """Returns a splitter for the frames from `first` on, up to a pause or a change of size."""
    seconds = (settings.min_seconds, settings.max_seconds, settings.trim_s)
    return Splitter(fps, *first.upright, *seconds, first.index)


def _measured_clips(clips: Iterable[ClipFrames], filters: Sequence[Filter], info: VideoInfo) -> Iterator[MeasuredClip]:
    for clip in clips:
        yield _measured_clip(clip, filters, info)


def _measured_clip(clip: ClipFrames, filters: Sequence[Filter], info: VideoInfo) -> MeasuredClip:
    scores = {name: round(value, SCORE_DECIMALS) for each in filters for name, value in each.score(clip).items()}
    fps = float(rate_of_steps(np.diff(clip.times), (Fraction(info.fps),)))
    return MeasuredClip(
        start_s=round(float(clip.times[0]), SCORE_DECIMALS),
        end_s=round(clip.end_s, SCORE_DECIMALS),
        first_frame=clip.first_frame,
        frames=len(clip.frames),
        width=clip.width,
        height=clip.height,
        fps=round(fps, SCORE_DECIMALS),
        scores=scores,
        description=describe(clip, scores),
        phashes=b"".join(phash(clip.bars.inside(frame)) for frame in clip.samples),
        thumbnail=_thumbnail(clip.frames[len(clip.frames) // 2]),
    )


def _thumbnail(rgb: np.ndarray) -> bytes:
    """Returns a frame as a JPEG, 160 pixels wide."""
    height = max(1, round(rgb.shape[0] * _THUMBNAIL_WIDTH / rgb.shape[1]))
    small = cv2.resize(rgb, (_THUMBNAIL_WIDTH, height), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 70])[1].tobytes()
