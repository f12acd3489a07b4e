"""The steps of the funnel: which check, which score, or which later stage rejected each clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from framemill.data_filters.ledger.clip_table import ClipTable
from framemill.data_filters.ledger.reasons import OF_ONE_SCORE, Reason


@dataclass(frozen=True)
class DropStep:
    """One step of the funnel, or the end of it."""

    name: str
    """A score's name, or what a reason says without the particulars of one clip, e.g. "near duplicate"."""
    of_score: bool = False
    """Whether a bound of the score of that name rejects."""

    @property
    def id(self) -> str:
        """An identifier for the page; a score may be called "kept" or "failed"."""
        return f"score {self.name}" if self.of_score and DropStep(self.name) in (KEPT, FAILED) else self.name


KEPT = DropStep("kept")
FAILED = DropStep("failed")


@dataclass(frozen=True)
class DropSteps:
    """The step that rejected each clip."""

    steps: list[DropStep]
    indices: np.ndarray
    """int (clips,): index of the clip's step in `steps`; KEPT for a clip that is kept."""

    def rejects(self, step: DropStep) -> np.ndarray:
        """bool (clips,): the clips that ended at a step."""
        if step not in self.steps:
            return np.zeros(len(self.indices), bool)
        return self.indices == self.steps.index(step)

    def rows(self, step: DropStep) -> list[int]:
        """The indices of the clips that ended at a step."""
        return np.flatnonzero(self.rejects(step)).tolist()


def drop_steps(clips: ClipTable) -> DropSteps:
    """The step that rejected each clip, from its state and its reason's cause."""
    index_of: dict[DropStep, int] = {KEPT: 0}
    known: dict[tuple[str, int], int] = {}
    indices = np.zeros(len(clips), int)
    for i, (state, reason) in enumerate(zip(clips.column("state"), clips.column("reason"), strict=True)):
        # Reasons are shared objects: each is looked at once.
        index = known.get((state, id(reason)))
        if index is None:
            index = index_of.setdefault(_step_of(state, reason), len(index_of))
            known[state, id(reason)] = index
        indices[i] = index
    return DropSteps(list(index_of), indices)


def _step_of(state: str, reason: Reason | None) -> DropStep:
    if state == KEPT.name:
        return KEPT
    if state == FAILED.name:
        return FAILED
    if reason is None:
        return DropStep(state)
    return DropStep(reason.score, of_score=True) if reason.cause in OF_ONE_SCORE else DropStep(reason.kind)
