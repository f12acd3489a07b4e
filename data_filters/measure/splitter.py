"""Splits a video into clips while it is decoded: where scenes change, and where a scene is too long."""

from __future__ import annotations

import bisect
from collections.abc import Iterator

import numpy as np

from framemill.data_filters.filters.clip_frames import ClipFrames
from framemill.data_filters.measure.transitions import Transition, TransitionFinder
from framemill.platform.vision.read import Frame

SLACK_S = 1e-3
"""Times are sums of rounded steps: two that differ by less are equal."""


class Splitter:
    """Takes frames in order and yields clips as soon as they are complete.

    Frames of a transition between scenes, and frames shown within `trim_s` of one, are in no clip. A scene longer than
    `max_seconds` is divided; the last two parts have equal lengths where the last would otherwise be too short to use.
    In memory are `max_seconds + min_seconds` of frames and those about which the transition finder is undecided.
    """

    def __init__(
        self, fps: float, width: int, height: int, min_seconds: float, max_seconds: float, trim_s: float = 0.0
    ) -> None:
        """Creates a splitter that has seen no frame.

        Args:
            fps: frames a second of the source.
            width: of the source's frames, upright, pixels.
            height: of the source's frames, upright, pixels.
            min_seconds: least length of a usable clip; shorter scenes are yielded too.
            max_seconds: greatest length of a clip.
            trim_s: time before and after a transition whose frames are in no clip.
        """
        self.fps, self.width, self.height = float(fps), width, height
        self.min_seconds, self.max_seconds, self.trim_s = min_seconds, max_seconds, trim_s
        self.buffer: list[Frame] = []
        """Frames that are in no clip yet."""
        self._finder = TransitionFinder(self.fps)
        self._begin_s = 0.0
        """Frames shown before this time belong to no clip."""

    def push(self, frame: Frame) -> Iterator[ClipFrames]:
        """Takes the next frame; yields the clips that it completes."""
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
        """Yields the remaining clips once there are no more frames."""
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
        """Returns how many frames of the buffer end at least `trim_s` before frame number `first` is shown."""
        if not self.buffer or first <= self.buffer[0].index:
            return 0
        count = first - self.buffer[0].index
        limit = self.buffer[0].time_s + self._seconds(count) - self.trim_s
        return min(count, self._count_until(limit)) if self.trim_s else count

    def _divide(self, count: int) -> Iterator[ClipFrames]:
        """Yields the first `count` frames of the buffer, the end of a scene, as clips."""
        while count > 0:
            part, seconds = count, self._seconds(count)
            if seconds > self.max_seconds + SLACK_S:
                halve = self.min_seconds <= seconds / 2 and seconds < self.max_seconds + self.min_seconds
                part = min(count, self._count_within(seconds / 2 if halve else self.max_seconds))
            yield self._take(part)
            count -= part

    def _take(self, count: int) -> ClipFrames:
        """Removes the first `count` frames from the buffer and returns them as a clip."""
        end_s = self.buffer[0].time_s + self._seconds(count)
        frames, self.buffer = self.buffer[:count], self.buffer[count:]
        times = np.array([frame.time_s for frame in frames])
        return ClipFrames(times, [frame.rgb for frame in frames], end_s, frames[0].index, self.width, self.height)

    def _count_within(self, seconds: float) -> int:
        """Returns how many frames end within `seconds` of the beginning of the buffer, at least one."""
        return max(1, self._count_until(self.buffer[0].time_s + seconds))

    def _count_until(self, time_s: float) -> int:
        """Returns how many frames of the buffer are followed by the next frame by then."""
        return max(0, bisect.bisect_right(self.buffer, time_s + SLACK_S, key=lambda frame: frame.time_s) - 1)

    def _seconds(self, count: int) -> float:
        """Returns how long the first `count` frames last: to the next frame, or one step past the last."""
        if count <= 0:
            return 0.0
        end = self.buffer[count].time_s if count < len(self.buffer) else self.buffer[-1].time_s + 1 / self.fps
        return end - self.buffer[0].time_s
