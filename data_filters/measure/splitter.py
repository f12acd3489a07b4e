"""Cutting a video into clips while it is decoded: where scenes change, and where one grows too long."""

from __future__ import annotations

import bisect
from collections.abc import Iterator

import numpy as np

from framemill.data_filters.filters.clip_frames import ClipFrames
from framemill.data_filters.measure.transitions import Transition, TransitionFinder
from framemill.platform.vision.read import Frame

SLACK_S = 1e-3
"""Times are sums of rounded steps: two that differ by less are the same."""


class Splitter:
    """Takes frames in order and gives clips as soon as they are complete.

    Frames of a change from one scene to another, and those shown within trim_s of it, are in no clip. A scene longer
    than max_seconds is divided; its last part is halved with the one before rather than left too short to use. Holds
    max_seconds + min_seconds of video, and what the finder has not decided on.
    """

    def __init__(
        self, fps: float, width: int, height: int, min_seconds: float, max_seconds: float, trim_s: float = 0.0
    ) -> None:
        self.fps, self.width, self.height = float(fps), width, height
        self.min_seconds, self.max_seconds, self.trim_s = min_seconds, max_seconds, trim_s
        self.finder = TransitionFinder(self.fps)
        self.held: list[Frame] = []
        self.begin_s = 0.0
        """Frames shown before belong to no clip."""

    def push(self, frame: Frame) -> Iterator[ClipFrames]:
        """Takes the next frame; gives the clips that it completes."""
        self.held.append(frame)
        for transition in self.finder.push(frame.rgb):
            yield from self.change(transition)
        self.drop_trimmed()
        known = self.kept_before(self.finder.settled)
        while self.seconds(known) >= self.max_seconds + self.min_seconds:
            clip = self.take(self.frames_in(self.max_seconds))
            known -= len(clip.frames)
            yield clip

    def finish(self) -> Iterator[ClipFrames]:
        """The clips left when there are no more frames."""
        for transition in self.finder.finish():
            yield from self.change(transition)
        self.drop_trimmed()
        yield from self.divide(len(self.held))

    def change(self, transition: Transition) -> Iterator[ClipFrames]:
        """Gives the scene before a transition, and drops the frames of this."""
        if not transition.end:
            return
        self.drop_trimmed()
        yield from self.divide(self.kept_before(transition.first))
        self.held = [frame for frame in self.held if frame.index >= transition.end]
        self.begin_s = self.held[0].time_s + self.trim_s if self.held else self.begin_s

    def drop_trimmed(self) -> None:
        while self.held and self.held[0].time_s < self.begin_s - SLACK_S:
            self.held.pop(0)

    def kept_before(self, first: int) -> int:
        """How many held frames are a scene's, and give way to others trim_s before frame number `first`."""
        if not self.held or first <= self.held[0].index:
            return 0
        last = first - self.held[0].index
        limit = self.held[0].time_s + self.seconds(last) - self.trim_s
        return min(last, self.ended_by(limit)) if self.trim_s else last

    def divide(self, count: int) -> Iterator[ClipFrames]:
        """Gives the first `count` held frames, the end of a scene, as clips."""
        while count > 0:
            part, seconds = count, self.seconds(count)
            if seconds > self.max_seconds + SLACK_S:
                halves = self.min_seconds <= seconds / 2 and seconds < self.max_seconds + self.min_seconds
                part = min(count, self.frames_in(seconds / 2 if halves else self.max_seconds))
            yield self.take(part)
            count -= part

    def take(self, count: int) -> ClipFrames:
        """Gives away the first `count` held frames as a clip."""
        end_s = self.held[0].time_s + self.seconds(count)
        frames, self.held = self.held[:count], self.held[count:]
        times = np.array([frame.time_s for frame in frames])
        return ClipFrames(times, [frame.rgb for frame in frames], end_s, frames[0].index, self.width, self.height)

    def frames_in(self, seconds: float) -> int:
        """How many held frames are over within `seconds` of the first one's beginning, at least one."""
        return max(1, self.ended_by(self.held[0].time_s + seconds))

    def ended_by(self, moment: float) -> int:
        """How many held frames have given way to the next by then."""
        return max(0, bisect.bisect_right(self.held, moment + SLACK_S, key=lambda frame: frame.time_s) - 1)

    def seconds(self, count: int) -> float:
        """How long the first `count` held frames last: to the next frame, or one step past the last."""
        if count <= 0:
            return 0.0
        end = self.held[count].time_s if count < len(self.held) else self.held[-1].time_s + 1 / self.fps
        return end - self.held[0].time_s
