"""The steps of the funnel: the score, check or later stage that rejected each clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from framemill.data_filters.ledger.clip_table import ClipTable
from framemill.data_filters.ledger.reasons import OF_ONE_SCORE, Reason


@dataclass(frozen=True)
class DropStep:
    """One step of the funnel of clips, or the end of the funnel."""

    name: str
    """Name of a score, `Reason.kind` of another check, e.g. "near duplicate", or a state."""
    of_score: bool = False
    """Whether the step is the bounds of the score `name`."""

    @property
    def id(self) -> str:
        """The identifier of the step on the page; a score named "kept" or "failed" gets the prefix "score"."""
        return f"score {self.name}" if self.of_score and DropStep(self.name) in (KEPT, FAILED) else self.name


KEPT = DropStep("kept")
"""End of the funnel: the clips that are kept."""
FAILED = DropStep("failed")
"""Step of all clips that failed."""


@dataclass(frozen=True)
class DropSteps:
    """The steps of a funnel, and the step that rejected each clip."""

    steps: list[DropStep]
    indices: np.ndarray
    """int (clips,): index of the clip's step in `steps`; KEPT for a clip that is kept."""

    def rejects(self, step: DropStep) -> np.ndarray:
        """Returns a mask of the clips that ended at a step, bool (clips,)."""
        if step not in self.steps:
            return np.zeros(len(self.indices), bool)
        return self.indices == self.steps.index(step)

    def rows(self, step: DropStep) -> list[int]:
        """Returns the indices of the clips that ended at a step."""
        return np.flatnonzero(self.rejects(step)).tolist()


def drop_steps(clips: ClipTable) -> DropSteps:
    """Returns the step that rejected each clip, found from the clip's state and reason."""
    index_of: dict[DropStep, int] = {KEPT: 0}
    known: dict[tuple[str, int], int] = {}
    indices = np.zeros(len(clips), int)
    for i, (state, reason) in enumerate(zip(clips.column("state"), clips.column("reason"), strict=True)):
        # Clips share reason objects: each object is classified once.
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
