"""Everything measured of one source, in one decode pass. Runs in a worker's expendable child."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from framemill.data_filters.filters.clip_frames import ClipFrames, small_size
from framemill.data_filters.filters.registry import SCORE_DECIMALS, load_filter
from framemill.data_filters.measure.describe import describe
from framemill.data_filters.measure.keyframe_filter import keyframe_prefilter
from framemill.data_filters.measure.messages import Ended, MeasuredClip, MeasureSettings, SourceFacts
from framemill.data_filters.measure.phash import phash
from framemill.data_filters.measure.splitter import Splitter
from framemill.platform.storage import sha256_file
from framemill.platform.vision.downscale import downscale
from framemill.platform.vision.frame_rate_monitor import FrameRateMonitor
from framemill.platform.vision.read import Frame, iter_decoded_frames
from framemill.platform.vision.video import VideoError, probe

THUMBNAIL_WIDTH = 160


def measure_source(path: str, settings: MeasureSettings) -> Iterator[SourceFacts | MeasuredClip | Ended]:
    """The facts of a local file, then its clips as the pass completes them, then how it ended.

    A file that breaks off ends with the reason; the clips before stand. One that the key-frame screen finds hopeless
    ends with that reason and no clips.

    Raises:
        OSError: the file could not be reached.
    """
    cv2.setNumThreads(1)
    source_id = sha256_file(path)
    try:
        info = probe(path)
    except VideoError as error:
        yield SourceFacts(source_id)
        yield Ended(str(error))
        return
    yield SourceFacts(source_id, info)
    if settings.screen is not None and (hopeless := keyframe_prefilter(path, info, settings.screen)) is not None:
        yield Ended(hopeless, screened=True)
        return
    frame_rate = FrameRateMonitor(info.tick_s)
    filters = [load_filter(name) for name in settings.filters]
    splitter = Splitter(info.fps, info.width, info.height, settings.min_seconds, settings.max_seconds, settings.trim_s)

    def measured(clip: ClipFrames) -> MeasuredClip:
        scores = {name: round(value, SCORE_DECIMALS) for f in filters for name, value in f.score(clip).items()}
        return MeasuredClip(
            start_s=round(float(clip.times[0]), SCORE_DECIMALS),
            end_s=round(clip.end_s, SCORE_DECIMALS),
            first_frame=clip.first_frame,
            frames=len(clip.frames),
            width=clip.width,
            height=clip.height,
            fps=round(info.fps, SCORE_DECIMALS),
            scores=scores,
            description=describe(clip, scores),
            phashes=b"".join(phash(clip.bars.inside(frame)) for frame in clip.samples),
            thumbnail=thumbnail(clip.frames[len(clip.frames) // 2]),
        )

    reason = None
    try:
        for picture in frame_rate.watch(iter_decoded_frames(path)):
            small = downscale(picture.frame, *small_size(info.width, info.height))
            for clip in splitter.push(Frame(picture.index, picture.time_s, small)):
                yield measured(clip)
    except VideoError as error:
        reason = str(error)
    for clip in splitter.finish():
        yield measured(clip)
    yield Ended(reason, fps_varies=frame_rate.is_variable)


def thumbnail(rgb: np.ndarray) -> bytes:
    height = max(1, round(rgb.shape[0] * THUMBNAIL_WIDTH / rgb.shape[1]))
    small = cv2.resize(rgb, (THUMBNAIL_WIDTH, height), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 70])[1].tobytes()
