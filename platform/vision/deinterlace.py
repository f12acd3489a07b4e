"""Deinterlacing with FFmpeg's bwdif filter: one progressive frame for each interlaced frame.

Whether a frame is interlaced, and which field comes first, is what the decoder says. Film that was telecined and is
flagged as interlaced is deinterlaced too, not restored to its original frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
from av.filter import Graph
from av.video.frame import VideoFrame

from framemill.platform.vision.stream import VideoError

_FILTER = "mode=send_frame:parity=auto:deint=interlaced"
"""Options of bwdif: as many frames as before, the field order of each frame, and progressive frames unchanged."""
_MIN_WIDTH, _MIN_HEIGHT = 3, 4
"""Minimum size of bwdif's frames, pixels; smaller frames are not deinterlaced."""


def deinterlaced(frames: Iterable[VideoFrame]) -> Iterator[VideoFrame]:
    """Yields the frames of a video, deinterlaced from the first interlaced frame on; progressive video is unchanged.

    The filter needs the frame before and after an interlaced frame, so it is one frame behind.

    Raises:
        VideoError: raised by `frames`, after the frames before it.
    """
    deinterlacer: _Deinterlacer | None = None
    failure: VideoError | None = None
    source = iter(frames)
    while True:
        try:
            frame = next(source, None)
        except VideoError as error:
            frame, failure = None, error
        if frame is None:
            break
        if deinterlacer is not None and not deinterlacer.accepts(frame):
            yield from deinterlacer.flush()
            deinterlacer = None
        if deinterlacer is None and frame.interlaced_frame and _is_large_enough(frame):
            deinterlacer = _Deinterlacer(frame)
        if deinterlacer is None:
            yield frame
        else:
            yield from deinterlacer.push(frame)
    if deinterlacer is not None:
        yield from deinterlacer.flush()
    if failure is not None:
        raise failure


def _is_large_enough(frame: VideoFrame) -> bool:
    return frame.width >= _MIN_WIDTH and frame.height >= _MIN_HEIGHT


class _Deinterlacer:
    """A filter graph for frames of one size and format."""

    def __init__(self, first: VideoFrame) -> None:
        """Creates the graph for frames like `first`."""
        self.kind = (first.width, first.height, first.format.name)
        self.time_base = first.time_base or Fraction(1)
        self.graph = Graph()
        self.graph.threads = 1
        source = self.graph.add_buffer(
            width=first.width, height=first.height, format=first.format, time_base=self.time_base
        )
        bwdif = self.graph.add("bwdif", _FILTER)
        sink = self.graph.add("buffersink")
        source.link_to(bwdif)
        bwdif.link_to(sink)
        self.graph.configure()

    def accepts(self, frame: VideoFrame) -> bool:
        """Returns whether a frame has the size and the format of the graph."""
        return self.kind == (frame.width, frame.height, frame.format.name)

    def push(self, frame: VideoFrame) -> Iterator[VideoFrame]:
        """Yields the frames that the next frame completes."""
        self.graph.vpush(frame)
        return self._pull()

    def flush(self) -> Iterator[VideoFrame]:
        """Yields the remaining frames after the last frame."""
        self.graph.vpush(None)
        return self._pull()

    def _pull(self) -> Iterator[VideoFrame]:
        while True:
            try:
                frame = self.graph.vpull()
            except (av.BlockingIOError, av.EOFError):
                return
            if frame.pts is not None and frame.time_base:
                # bwdif halves the unit of timestamps, for its mode with one frame per field.
                frame.pts = round(frame.pts * frame.time_base / self.time_base)
                frame.duration = round((frame.duration or 0) * frame.time_base / self.time_base)
            frame.time_base = self.time_base
            yield frame
