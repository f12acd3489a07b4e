"""Splitting a video into clips during the decode pass: at scene changes, and within scenes that are too long."""

from __future__ import annotations

import bisect
from collections.abc import Iterator

import numpy as np

from framemill.data_filters.filters.clip_frames import ClipFrames
from framemill.data_filters.measure.transitions import Transition, TransitionFinder
from framemill.platform.vision.read import Frame

SLACK_S = 1e-3
"""Times that differ by less than this count as equal, since they are sums of rounded steps."""


class Splitter:
    """Takes frames in order and yields clips as soon as they are complete.

    Frames of a transition between scenes, and frames within `trim_s` of a transition, are in no clip. A scene longer
    than `max_seconds` is divided; if its last part would be shorter than `min_seconds`, the last two parts get equal
    lengths. Memory use is bounded by `max_seconds + min_seconds` of frames plus the delay of the transition finder.
    """

    def __init__(
        self,
        fps: float,
        width: int,
        height: int,
        min_seconds: float,
        max_seconds: float,
        trim_s: float = 0.0,
        first: int = 0,
    ) -> None:
        """Creates a splitter for one source, or for the part of a source after a pause or a change of size.

        Args:
            fps: frame rate of the source, frames per second.
            width: width of the source's frames, upright, pixels.
            height: height of the source's frames, upright, pixels.
            min_seconds: minimum length of a usable clip, seconds; shorter scenes are also yielded as clips.
            max_seconds: maximum length of a clip, seconds.
            trim_s: time before and after a transition that is excluded from clips, seconds.
            first: index of the first frame.
        """
        self.fps, self.width, self.height = float(fps), width, height
        self.min_seconds, self.max_seconds, self.trim_s = min_seconds, max_seconds, trim_s
        self.buffer: list[Frame] = []
        """Frames that are not yet assigned to a clip."""
        self._finder = TransitionFinder(self.fps, first)
        self._begin_s = 0.0
        """Frames shown before this time belong to no clip."""

    def push(self, frame: Frame) -> Iterator[ClipFrames]:
        """Takes the next frame and yields the clips that this frame completes.

        The frame is taken only when the iterator is consumed.
        """
        self.buffer.append(frame)
        for transition in self._finder.push(frame.rgb):
            yield from self._end_scene(transition)
        self._drop_trimmed()
        count = self._count_before(self._finder.settled)
        while self._seconds(count) >= self.max_seconds + self.min_seconds:
            clip = self._take(self._count_within(self.max_seconds))
            count -= len(clip.frames)
            yield clip

    def finish(self) -> Iterator[ClipFrames]:
        """Yields the remaining clips after the last frame."""
        for transition in self._finder.finish():
            yield from self._end_scene(transition)
        self._drop_trimmed()
        yield from self._divide(len(self.buffer))

    def _end_scene(self, transition: Transition) -> Iterator[ClipFrames]:
        """Yields the clips of the scene before a transition, and drops the transition's frames."""
        if not transition.end:
            return
        self._drop_trimmed()
        yield from self._divide(self._count_before(transition.first))
        self.buffer = [frame for frame in self.buffer if frame.index >= transition.end]
        self._begin_s = self.buffer[0].time_s + self.trim_s if self.buffer else self._begin_s

    def _drop_trimmed(self) -> None:
        while self.buffer and self.buffer[0].time_s < self._begin_s - SLACK_S:
            self.buffer.pop(0)

    def _count_before(self, first: int) -> int:
        """Returns the number of frames of the buffer that end at least `trim_s` before the frame with index `first`."""
        if not self.buffer or first <= self.buffer[0].index:
            return 0
        count = first - self.buffer[0].index
        limit = self.buffer[0].time_s + self._seconds(count) - self.trim_s
        return min(count, self._count_until(limit)) if self.trim_s else count

    def _divide(self, count: int) -> Iterator[ClipFrames]:
        """Yields the first `count` frames of the buffer, which end a scene, as clips."""
        while count > 0:
            part, seconds = count, self._seconds(count)
            if seconds > self.max_seconds + SLACK_S:
                halve = self.min_seconds <= seconds / 2 and seconds < self.max_seconds + self.min_seconds
                part = min(count, self._count_within(seconds / 2 if halve else self.max_seconds))
            yield self._take(part)
            count -= part

    def _take(self, count: int) -> ClipFrames:
        """Removes the first `count` frames from the buffer and returns them as a clip."""
        seconds = self._seconds(count)
        end_s = self.buffer[0].time_s + (seconds if seconds <= self.max_seconds + SLACK_S else self.max_seconds)
        frames, self.buffer = self.buffer[:count], self.buffer[count:]
        times = np.array([frame.time_s for frame in frames])
        return ClipFrames(times, [frame.rgb for frame in frames], end_s, frames[0].index, self.width, self.height)

    def _count_within(self, seconds: float) -> int:
        """Returns the number of frames that end within `seconds` of the start of the buffer, at least 1."""
        return max(1, self._count_until(self.buffer[0].time_s + seconds))

    def _count_until(self, time_s: float) -> int:
        """Returns the number of frames of the buffer that end by `time_s`."""
        return max(0, bisect.bisect_right(self.buffer, time_s + SLACK_S, key=lambda frame: frame.time_s) - 1)

    def _seconds(self, count: int) -> float:
        """Returns the duration of the first `count` frames; the last frame of the buffer lasts 1 / fps."""
        if count <= 0:
            return 0.0
        end = self.buffer[count].time_s if count < len(self.buffer) else self.buffer[-1].time_s + 1 / self.fps
        return end - self.buffer[0].time_s
