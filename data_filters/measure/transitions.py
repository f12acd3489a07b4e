"""Shot boundary detection: hard cuts, fades through black or white, and dissolves, but no flashes.

Cuts come from PySceneDetect's AdaptiveDetector and are rejected if the earlier scene returns immediately. Fades are
detected by blank frames; dissolves by frames that are weighted means of the frames before and after. All decisions use
an 80x45 copy of each frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

_FRAME_SIZE = (80, 45)
"""Width and height of the copy of a frame, for every aspect ratio."""
_SIGNATURE_SIZE = (16, 9)
"""Width and height of a frame's signature: the mean colours of a grid of cells, by which frames are compared."""

_ADAPTIVE_THRESHOLD, _ADAPTIVE_WINDOW = 2.5, 3
"""AdaptiveDetector: a cut changes at least 2.5 times as much as the mean of the 3 frames on either side. Its authors
recommend 3.5, but without the additional checks of `_cut`; with these checks 2.5 also finds cuts during motion."""
_MIN_CONTENT_CHANGE = 9.0
"""AdaptiveDetector: minimum change at a cut, mean over H, S and V, 0..255."""
_FLASH_S = 0.35
"""If the earlier scene returns within this time, a cut was a flash or an object passing the camera."""
_RETURNED_SHARE = 0.3
"""The earlier scene has returned if the remaining difference is at most this share of the difference at the cut."""
_SAME_SCENE_CORRELATION = 0.95
"""Minimum correlation of the signatures of two frames that show one scene under different lighting."""

_BLACK_LUMA, _WHITE_LUMA, _BLANK_DEVIATION = 24.0, 228.0, 7.0
"""A frame is blank if its mean luma is at most BLACK_LUMA or at least WHITE_LUMA and its standard deviation is at most
BLANK_DEVIATION."""
_FADE_SLOPE = 10.0
"""Minimum change of contrast (standard deviation of luma, 0..255) per second during a fade."""
_MAX_BLANK_S = 1.0
"""Blank parts longer than this are scenes, such as dark shots or small titles."""

_DISSOLVE_HALVES_S = (0.25, 0.5, 1.0)
"""Half-lengths of the windows in which a dissolve is searched for, seconds."""
_DISSOLVE_STEP_S = 0.1
"""Time between the frames that are tested as the middle of a dissolve."""
_DISSOLVE_MIN_DIFFERENCE, _DISSOLVE_MAX_RESIDUAL = 10.0, 0.36
"""MIN_DIFFERENCE: minimum root mean square difference between the signatures before and after a dissolve.
MAX_RESIDUAL: maximum distance of the frames in between from weighted means of both, as a share of the difference times
1 - correlation of the two signatures."""

LOOK_BACK_S, LOOK_AHEAD_S = 1.0, _MAX_BLANK_S + 1.0
"""Maximum time from the start of a transition to the frame at which it is detected, and from that frame to its end."""
_MERGE_S = 0.6
"""Transitions with less time than this between them are merged, and a transition this close to the start of the video
begins at the start. The value is from the sweep of tests/bench/bench_cuts.py."""


@dataclass(frozen=True)
class Transition:
    """A change from one scene to the next. Frames first..end-1 belong to neither scene; for a hard cut first == end."""

    first: int
    """Index of the first frame of the transition."""
    end: int
    """Index of the first frame of the next scene."""


class TransitionFinder:
    """Takes frames in order and yields transitions in order, at most LOOK_BACK_S + LOOK_AHEAD_S + 0.6 s after they end.

    This delay bounds the memory use for videos of any length.
    """

    def __init__(self, fps: float, first: int = 0) -> None:
        """Creates a finder for one video, or for the part of a video after a pause.

        Args:
            fps: frame rate, frames per second.
            first: index of the first frame.
        """
        from scenedetect.detectors import AdaptiveDetector

        self._fps = float(fps)
        self._detector = AdaptiveDetector(
            adaptive_threshold=_ADAPTIVE_THRESHOLD,
            window_width=_ADAPTIVE_WINDOW,
            min_content_val=_MIN_CONTENT_CHANGE,
            min_scene_len=0,
        )
        self._back = self._frame_count(LOOK_BACK_S)
        self._ahead = max(self._frame_count(LOOK_AHEAD_S), _ADAPTIVE_WINDOW)
        self._start = first
        """Index of the first frame whose signature is in memory."""
        self._next = first
        """Index of the next frame to be decided."""
        self._signatures: list[np.ndarray] = []
        self._contrasts: list[float] = []
        self._blanks: list[bool] = []
        self._cuts: set[int] = set()
        self._pending: Transition | None = Transition(first, first)
        """The last transition, which may still be merged with the next; initially an empty transition at the start."""
        self._in_blank_scene = False

    @property
    def settled(self) -> int:
        """Index before which all frames are decided: no transition yet to be yielded contains them."""
        return self._pending.first if self._pending else self._next - self._back

    def push(self, rgb: np.ndarray) -> Iterator[Transition]:
        """Takes the next frame, uint8 (H, W, 3) RGB, and yields the transitions that this frame decides.

        The frame is taken only when the iterator is consumed.
        """
        from scenedetect.common import FrameTimecode

        small = cv2.resize(rgb, _FRAME_SIZE, interpolation=cv2.INTER_AREA)
        time = FrameTimecode(self._seen, self._fps)
        cuts = self._detector.process_frame(time, cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        self._cuts.update(cut.frame_num for cut in cuts)
        luma = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        mean, deviation = (float(value[0, 0]) for value in cv2.meanStdDev(luma))
        self._contrasts.append(deviation)
        self._blanks.append(deviation <= _BLANK_DEVIATION and not _BLACK_LUMA < mean < _WHITE_LUMA)
        signature = cv2.resize(small, _SIGNATURE_SIZE, interpolation=cv2.INTER_AREA)
        self._signatures.append(signature.ravel().astype(np.float32))
        if self._seen > self._next + self._ahead:
            yield from self._decide()

    def finish(self) -> Iterator[Transition]:
        """Yields the remaining transitions after the last frame."""
        while self._next < self._seen:
            yield from self._decide()
        if self._pending:
            yield self._pending

    @property
    def _seen(self) -> int:
        """Number of frames taken."""
        return self._start + len(self._signatures)

    def _frame_count(self, seconds: float) -> int:
        return max(1, round(seconds * self._fps))

    def _decide(self) -> Iterator[Transition]:
        """Decides the next frame and frees frames that are no longer needed."""
        at = self._next
        self._next += 1
        transition = self._fade(at) or self._cut(at) or self._dissolve(at)
        last, near = self._pending, self._frame_count(_MERGE_S)
        # The limit bounds the memory for a video that consists of transitions only.
        in_limit = last and at < last.first + self._back + self._ahead
        if transition and last and in_limit and transition.first < last.end + near:
            self._pending = Transition(min(last.first, transition.first), max(last.end, transition.end))
        elif transition:
            if last:
                yield last
                begin = max(last.end, transition.first)
                transition = Transition(begin, max(last.end, transition.end))
            self._pending = transition
        elif last and self._next - self._back >= last.end + near:
            yield last
            self._pending = None
        self._forget()

    def _forget(self) -> None:
        count = self._next - self._back - self._frame_count(_FLASH_S) - 1 - self._start
        if count > 0:
            self._start += count
            del self._signatures[:count], self._contrasts[:count], self._blanks[:count]
            self._cuts.difference_update(range(self._start - count, self._start))

    def _cut(self, at: int) -> Transition | None:
        """Returns the hard cut before frame `at`; None if the earlier scene returns or only the light changed."""
        if at not in self._cuts:
            return None
        i, reach = at - self._start, self._frame_count(_FLASH_S)
        before = np.stack(self._signatures[max(0, i - reach) : i])
        after = np.stack(self._signatures[i : i + reach])
        differences = np.abs(before[:, None] - after[None]).mean(axis=2)
        returned = differences.min() <= _RETURNED_SHARE * differences[-1, 0]
        if returned or _correlation(before[-1], after[0]) > _SAME_SCENE_CORRELATION:
            return None
        return Transition(at, at)

    def _fade(self, at: int) -> Transition | None:
        """Returns the fade whose first blank frame is `at`, or None.

        A long blank part is a scene, so fades are returned only at its start and at its end.
        """
        i = at - self._start
        if i > 0 and self._blanks[i - 1]:
            ended = self._in_blank_scene and not self._blanks[i]
            self._in_blank_scene = self._in_blank_scene and not ended
            return Transition(at, at + self._ramp(i, 1)) if ended else None
        if not self._blanks[i]:
            return None
        first = i - self._ramp(i - 1, -1)
        run = self._blanks[i : i + self._frame_count(_MAX_BLANK_S)]
        if all(run):
            self._in_blank_scene = len(run) == self._frame_count(_MAX_BLANK_S)
            return Transition(self._start + first, at if self._in_blank_scene else self._seen)
        end = i + run.index(False)
        end += self._ramp(end, 1)
        if end - first <= self._frame_count(_FLASH_S) and first > 0 and end < len(self._signatures):
            before, blank, after = (self._signatures[j] for j in (first - 1, i, end))
            if np.abs(after - before).mean() <= _RETURNED_SHARE / 2 * np.abs(blank - before).mean():
                return None
        return Transition(self._start + first, self._start + end)

    def _ramp(self, i: int, step: int) -> int:
        """Returns the number of frames of rising contrast after frame i in memory, forwards (1) or backwards (-1)."""
        if step > 0:
            contrasts = self._contrasts[i : i + self._back]
        else:
            contrasts = self._contrasts[max(0, i + 1 - self._back) : i + 1][::-1]
        flat = np.diff(contrasts) < _FADE_SLOPE / self._fps
        return int(np.argmax(flat)) if flat.any() else len(contrasts)

    def _dissolve(self, at: int) -> Transition | None:
        """Returns the dissolve whose middle is frame `at`, or None."""
        if at % self._frame_count(_DISSOLVE_STEP_S):
            return None
        i = at - self._start
        for seconds in _DISSOLVE_HALVES_S:
            half = self._frame_count(seconds)
            if half < 4 or i < half or i + half >= len(self._signatures):
                continue
            before, after = self._signatures[i - half], self._signatures[i + half]
            change = after - before
            length = float(np.sqrt(change @ change))
            if length < _DISSOLVE_MIN_DIFFERENCE * np.sqrt(len(change)):
                continue
            # For the frames at a quarter, half and three quarters: the projection onto the line from `before` to
            # `after`, and the distance from this line.
            offsets = np.stack([self._signatures[i + step] - before for step in (-(half // 2), 0, half // 2)])
            progress = offsets @ change / length**2
            residual = np.linalg.norm(offsets - progress[:, None] * change, axis=1) / length
            if residual.max() > _DISSOLVE_MAX_RESIDUAL * (1 - _correlation(before, after)) or not (
                0.08 < progress[0] < 0.4 < progress[1] < 0.6 < progress[2] < 0.92
            ):
                continue
            reach = min(self._back, round(1.1 * (half // 2) / (progress[2] - progress[0])))
            return Transition(max(0, at - reach), min(self._seen, at + reach))
        return None


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Returns the correlation of two signatures, -1..1."""
    one, other = one - one.mean(), other - other.mean()
    return float(one @ other / np.sqrt(max((one @ one) * (other @ other), 1e-9)))
