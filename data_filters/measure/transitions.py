"""Finding where one scene gives way to another: hard cuts, fades through black or white, dissolves; flashes are none.

Cuts are those of PySceneDetect's adaptive detector that are not undone at once. A fade shows as blank frames, a
dissolve as frames that are weighted means of those before and after. All is decided from an 80x45 copy of each frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

PICTURE = (80, 45)
"""Width and height of what is looked at, whatever the video's shape."""
SIGNATURE = (16, 9)
"""And of the means over its parts that say whether two pictures are alike."""
THRESHOLD, WINDOW = 2.5, 3
"""PySceneDetect's adaptive detector: a frame is a cut that changes 2.5 times as much as the 3 on either side. Its
authors' sweep found 3.5 best, but without the tests that a cut must pass here: these let cuts in motion be found."""
LEAST_CHANGE = 9.0
"""And by this much (mean of H, S and V, 0..255)."""
FLASH_S = 0.35
"""What changes and is as before within so long is a flash, or something passing."""
UNDONE = 0.3
"""As before: by this share of the change."""
SAME = 0.95
"""Pictures whose signatures correlate more than this are one in another light."""
BLACK, WHITE, FLAT = 24.0, 228.0, 7.0
"""A blank frame: its mean luma, and the highest deviation."""
RAMP = 10.0
"""A fade's frames gain or lose at least so much contrast in a second (deviation of luma, 0..255)."""
BLANK_S = 1.0
"""A longer blank part is a scene of its own: a picture may be dark, or a title small."""
BACK_S, AHEAD_S = 1.0, BLANK_S + 1.0
"""How long before the frame that shows a change this may begin, and how long after it end."""
NEAR_S = 0.6
"""Changes with less between them are one, and one so close to the video's beginning begins there. From the sweep."""
HALVES_S = (0.25, 0.5, 1.0)
"""Half the lengths over which a dissolve is looked for."""
DISSOLVE_STEP_S = 0.1
LEAST_DIFFERENCE, UNEXPLAINED = 10.0, 0.36
"""A dissolve leads to another picture (root mean square of the difference of signatures) through weighted means of
both: what these do not explain is at most this share of the difference, times 1 less the correlation of the two."""


@dataclass(frozen=True)
class Transition:
    """Frames first..end-1 belong to no scene; a hard cut has none: there a new scene begins at `end`."""

    first: int
    end: int


class TransitionFinder:
    """Takes frames in order and gives transitions in order, up to BACK_S + AHEAD_S + NEAR_S after they are over."""

    def __init__(self, fps: float) -> None:
        from scenedetect.detectors import AdaptiveDetector

        self.fps = float(fps)
        self.detector = AdaptiveDetector(
            adaptive_threshold=THRESHOLD, window_width=WINDOW, min_content_val=LEAST_CHANGE, min_scene_len=0
        )
        self.back, self.ahead = self.frames(BACK_S), max(self.frames(AHEAD_S), WINDOW)
        self.start = self.next = 0
        """Numbers of the first frame still remembered, and of the next one to decide on."""
        self.signatures: list[np.ndarray] = []
        self.contrasts: list[float] = []
        self.blanks: list[bool] = []
        self.cuts: set[int] = set()
        self.pending: Transition | None = Transition(0, 0)
        """The last one found, which the next may yet become part of; the first is the video's beginning."""
        self.in_blank_scene = False

    def frames(self, seconds: float) -> int:
        return max(1, round(seconds * self.fps))

    @property
    def seen(self) -> int:
        return self.start + len(self.signatures)

    @property
    def settled(self) -> int:
        """Frames before this one are in no transition that is still to be given."""
        return self.pending.first if self.pending else self.next - self.back

    def push(self, rgb: np.ndarray) -> Iterator[Transition]:
        """Takes the next frame, uint8 (H, W, 3)."""
        from scenedetect.common import FrameTimecode

        picture = cv2.resize(rgb, PICTURE, interpolation=cv2.INTER_AREA)
        cuts = self.detector.process_frame(FrameTimecode(self.seen, self.fps), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        self.cuts.update(cut.frame_num for cut in cuts)
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        mean, deviation = (float(value[0, 0]) for value in cv2.meanStdDev(grey))
        self.contrasts.append(deviation)
        self.blanks.append(deviation <= FLAT and not BLACK < mean < WHITE)
        small = cv2.resize(picture, SIGNATURE, interpolation=cv2.INTER_AREA)
        self.signatures.append(small.ravel().astype(np.float32))
        if self.seen > self.next + self.ahead:
            yield from self.decide()

    def finish(self) -> Iterator[Transition]:
        """What is left when there are no more frames."""
        while self.next < self.seen:
            yield from self.decide()
        if self.pending:
            yield self.pending

    def decide(self) -> Iterator[Transition]:
        """Looks at the next frame, and forgets what is no longer needed."""
        at = self.next
        self.next += 1
        found = self.fade(at) or self.cut(at) or self.dissolve(at)
        last, near = self.pending, self.frames(NEAR_S)
        # Were there no limit, a video of nothing but changes would be held in memory whole.
        if found and last and found.first < last.end + near and at < last.first + self.back + self.ahead:
            self.pending = Transition(min(last.first, found.first), max(last.end, found.end))
        elif found:
            if last:
                yield last
            self.pending = found if last is None else Transition(max(last.end, found.first), max(last.end, found.end))
        elif last and self.next - self.back >= last.end + near:
            yield last
            self.pending = None
        old = self.next - self.back - self.frames(FLASH_S) - 1 - self.start
        if old > 0:
            self.start += old
            del self.signatures[:old], self.contrasts[:old], self.blanks[:old]
            self.cuts.difference_update(range(self.start - old, self.start))

    def cut(self, at: int) -> Transition | None:
        """A hard cut before that frame, unless what was before comes back at once, or only light changed."""
        if at not in self.cuts:
            return None
        i, reach = at - self.start, self.frames(FLASH_S)
        before = np.stack(self.signatures[max(0, i - reach) : i])
        after = np.stack(self.signatures[i : i + reach])
        apart = np.abs(before[:, None] - after[None]).mean(axis=2)
        undone = apart.min() <= UNDONE * apart[-1, 0]
        return None if undone or correlation(before[-1], after[0]) > SAME else Transition(at, at)

    def fade(self, at: int) -> Transition | None:
        """The fade whose first blank frame it is; of a long blank part, a scene, just this end or the other."""
        i = at - self.start
        if i > 0 and self.blanks[i - 1]:
            ended = self.in_blank_scene and not self.blanks[i]
            self.in_blank_scene = self.in_blank_scene and not ended
            return Transition(at, at + self.ramp(i, 1)) if ended else None
        if not self.blanks[i]:
            return None
        first = i - self.ramp(i - 1, -1)
        run = self.blanks[i : i + self.frames(BLANK_S)]
        if all(run):
            self.in_blank_scene = len(run) == self.frames(BLANK_S)
            return Transition(self.start + first, at if self.in_blank_scene else self.seen)
        end = i + run.index(False)
        end += self.ramp(end, 1)
        if end - first <= self.frames(FLASH_S) and first > 0 and end < len(self.signatures):
            before, blank, after = (self.signatures[j] for j in (first - 1, i, end))
            if np.abs(after - before).mean() <= UNDONE / 2 * np.abs(blank - before).mean():
                return None
        return Transition(self.start + first, self.start + end)

    def ramp(self, i: int, way: int) -> int:
        """How many frames gain contrast one after another: from remembered frame i on, forwards or (way=-1) back."""
        known = (
            self.contrasts[i : i + self.back] if way > 0 else self.contrasts[max(0, i + 1 - self.back) : i + 1][::-1]
        )
        steps = np.diff(known) < RAMP / self.fps
        return int(np.argmax(steps)) if steps.any() else len(known)

    def dissolve(self, at: int) -> Transition | None:
        """The dissolve that is half done at that frame."""
        if at % self.frames(DISSOLVE_STEP_S):
            return None
        i = at - self.start
        for seconds in HALVES_S:
            half = self.frames(seconds)
            if half < 4 or i < half or i + half >= len(self.signatures):
                continue
            before, after = self.signatures[i - half], self.signatures[i + half]
            way = after - before
            length = float(np.sqrt(way @ way))
            if length < LEAST_DIFFERENCE * np.sqrt(len(way)):
                continue
            middle = np.stack([self.signatures[i + step] - before for step in (-(half // 2), 0, half // 2)])
            done = middle @ way / length**2
            rest = np.linalg.norm(middle - done[:, None] * way, axis=1) / length
            if rest.max() > UNEXPLAINED * (1 - correlation(before, after)) or not (
                0.08 < done[0] < 0.4 < done[1] < 0.6 < done[2] < 0.92
            ):
                continue
            reach = min(self.back, round(1.1 * (half // 2) / (done[2] - done[0])))
            return Transition(max(0, at - reach), min(self.seen, at + reach))
        return None


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    one, other = one - one.mean(), other - other.mean()
    return float(one @ other / np.sqrt(max((one @ one) * (other @ other), 1e-9)))
