"""Cutting a video into clips while it is decoded: at scene cuts, and where a scene grows too long."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from framemill.data_filters.clip import ClipFrames
from framemill.platform.vision.read import Frame

MIN_SCENE_S = 0.6
THRESHOLD, WINDOW = 3.0, 2
"""PySceneDetect's adaptive detector: a frame is a cut that changes 3 times as much as the 2 on either side."""
LEAST_CHANGE = 10.0
"""And by this much (mean of H, S and V, 0..255). Its default of 15 misses cuts between pictures of like colours; frames
that change 3 times as much as their neighbours without a cut stayed below 7 on the real clips this was set on, but for
one at 17 in the first frames of a file."""
SLACK_S = 1e-3
"""Times are sums of rounded steps: two that differ by less are the same."""


class Splitter:
    """Takes frames in order and gives clips as soon as they are complete.

    Holds the frames of the present clip only: at most max_seconds + min_seconds of video. A scene longer than
    max_seconds is divided; its last part is halved with the one before rather than left too short to use.
    """

    def __init__(self, fps: float, width: int, height: int, min_seconds: float, max_seconds: float) -> None:
        from scenedetect.detectors import AdaptiveDetector

        self.fps, self.width, self.height = float(fps), width, height
        self.min_seconds, self.max_seconds = min_seconds, max_seconds
        self.detector = AdaptiveDetector(
            adaptive_threshold=THRESHOLD, window_width=WINDOW, min_content_val=LEAST_CHANGE, min_scene_len=MIN_SCENE_S
        )
        self.held: list[Frame] = []

    def push(self, frame: Frame) -> Iterator[ClipFrames]:
        """Takes the next frame; gives the clips that it completes."""
        from scenedetect.common import FrameTimecode

        self.held.append(frame)
        picture = cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2BGR)
        # The detector knows a cut only WINDOW frames later, so the newest frames are never given away.
        for cut in self.detector.process_frame(FrameTimecode(frame.index, self.fps), picture):
            yield from self.close_scene(cut.frame_num - self.held[0].index)
        while self.seconds(len(self.held) - 1 - WINDOW) >= self.max_seconds + self.min_seconds:
            yield self.take(self.frames_in(self.max_seconds))

    def finish(self) -> Iterator[ClipFrames]:
        """The clips left when there are no more frames."""
        yield from self.close_scene(len(self.held))

    def close_scene(self, count: int) -> Iterator[ClipFrames]:
        """Gives the first `count` held frames, the end of a scene, as one clip or two."""
        while count > 0:
            part = count
            seconds = self.seconds(count)
            if seconds > self.max_seconds + SLACK_S:
                halves = seconds <= 2 * self.max_seconds and seconds / 2 >= self.min_seconds
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
        """How many held frames begin within `seconds` of the first, at least one."""
        limit = self.held[0].time_s + seconds - SLACK_S
        return max(1, int(np.searchsorted([frame.time_s for frame in self.held], limit)))

    def seconds(self, count: int) -> float:
        """How long the first `count` held frames last: to the next frame, or one step past the last."""
        if count <= 0:
            return 0.0
        end = self.held[count].time_s if count < len(self.held) else self.held[-1].time_s + 1 / self.fps
        return end - self.held[0].time_s
