"""Shot boundary detection: hard cuts, fades through black or white, and dissolves. A flash is no boundary.

Cuts are those of PySceneDetect's AdaptiveDetector, unless the earlier picture returns at once. A fade shows as blank
frames; a dissolve as frames that are weighted means of the frames before and after it. Everything is decided from an
80x45 copy of each frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

_FRAME_SIZE = (80, 45)
"""Width and height of the copy of a frame, whatever the video's shape."""
_SIGNATURE_SIZE = (16, 9)
"""Width and height of a frame's signature, the mean colours of its cells: by it two frames are compared."""

_ADAPTIVE_THRESHOLD, _ADAPTIVE_WINDOW = 2.5, 3
"""AdaptiveDetector: a cut changes 2.5 times as much as the mean of the 3 frames on either side. Its authors' sweep
found 3.5 best, but without the checks that a cut must pass here; with them 2.5 finds cuts during motion as well."""
_MIN_CONTENT_CHANGE = 9.0
"""AdaptiveDetector: least change of a cut, mean of H, S and V, 0..255."""
_FLASH_S = 0.35
"""A cut whose frames return to the earlier picture within this time is a flash, or something passing, and no cut."""
_RETURNED_SHARE = 0.3
"""Returned: the remaining difference is at most this share of the cut's difference."""
_SAME_SCENE_CORRELATION = 0.95
"""Above this correlation of signatures two frames show the same scene under different lighting."""

_BLACK_LUMA, _WHITE_LUMA, _BLANK_DEVIATION = 24.0, 228.0, 7.0
"""A blank frame: mean luma at most the first or at least the second, and standard deviation at most the third."""
_FADE_SLOPE = 10.0
"""A fade's frames gain or lose at least this much contrast (standard deviation of luma, 0..255) a second."""
_MAX_BLANK_S = 1.0
"""Longer blank parts are a scene of their own: a picture may be dark, or a title small."""

_DISSOLVE_HALVES_S = (0.25, 0.5, 1.0)
"""Half the lengths over which a dissolve is searched for, seconds."""
_DISSOLVE_STEP_S = 0.1
"""Time between the frames that are tried as the middle of a dissolve."""
_DISSOLVE_MIN_DIFFERENCE, _DISSOLVE_MAX_RESIDUAL = 10.0, 0.36
"""A dissolve leads to another picture (root mean square difference of the signatures) through weighted means of both:
the residual that these leave is at most this share of the difference, times 1 - correlation of the two."""

LOOK_BACK_S, LOOK_AHEAD_S = 1.0, _MAX_BLANK_S + 1.0
"""How long before the frame that shows a transition the transition may begin, and how long after it end."""
_MERGE_S = 0.6
"""Transitions with less time between them are one, and a transition this close to the video's beginning begins there.
From the sweep of tests/bench/bench_cuts.py."""


@dataclass(frozen=True)
class Transition:
    """A change from one scene to the next. Frames first..end-1 belong to neither; a hard cut has no such frame."""

    first: int
    """Index of the first frame of the transition."""
    end: int
    """Index of the first frame of the next scene."""


class TransitionFinder:
    """Takes frames in order and yields transitions in order, at most LOOK_BACK_S + LOOK_AHEAD_S + 0.6 s after they end.

    The memory is bounded by that delay, whatever the length of the video.
    """

    def __init__(self, fps: float) -> None:
        """Creates a finder that has seen no frame.

        Args:
            fps: frames a second.
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
        self._start = 0
        """Index of the first frame that is remembered."""
        self._next = 0
        """Index of the next frame to decide about."""
        self._signatures: list[np.ndarray] = []
        self._contrasts: list[float] = []
        self._blanks: list[bool] = []
        self._cuts: set[int] = set()
        self._pending: Transition | None = Transition(0, 0)
        """The last transition, which the next may still be merged into; the first one is the video's beginning."""
        self._in_blank_scene = False

    @property
    def settled(self) -> int:
        """Index of a frame before which no frame is in a transition that is yet to be yielded."""
        return self._pending.first if self._pending else self._next - self._back

    def push(self, rgb: np.ndarray) -> Iterator[Transition]:
        """Takes the next frame, uint8 (H, W, 3); yields the transitions that are now decided."""
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
        """Yields the remaining transitions once there are no more frames."""
        while self._next < self._seen:
            yield from self._decide()
        if self._pending:
            yield self._pending

    @property
    def _seen(self) -> int:
        """The number of frames taken."""
        return self._start + len(self._signatures)

    def _frame_count(self, seconds: float) -> int:
        return max(1, round(seconds * self._fps))

    def _decide(self) -> Iterator[Transition]:
        """Decides about the next frame, and forgets frames that are no longer needed."""
        at = self._next
        self._next += 1
        transition = self._fade(at) or self._cut(at) or self._dissolve(at)
        last, near = self._pending, self._frame_count(_MERGE_S)
        # Without a limit a video that is nothing but transitions would be kept in memory whole.
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
        """Returns the hard cut before a frame, unless the earlier picture returns at once or only the light changed."""
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
        """Returns the fade whose first blank frame this is.

        A long blank part is a scene: only the fade at its beginning, or at its end, is returned.
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
        """Returns how many consecutive frames gain contrast, from remembered frame i forwards (1) or backwards (-1)."""
        if step > 0:
            contrasts = self._contrasts[i : i + self._back]
        else:
            contrasts = self._contrasts[max(0, i + 1 - self._back) : i + 1][::-1]
        flat = np.diff(contrasts) < _FADE_SLOPE / self._fps
        return int(np.argmax(flat)) if flat.any() else len(contrasts)

    def _dissolve(self, at: int) -> Transition | None:
        """Returns the dissolve whose middle is this frame."""
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
            # Frames at a quarter, the middle and three quarters: how far each is on the line from `before` to `after`,
            # and its distance from that line.
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
