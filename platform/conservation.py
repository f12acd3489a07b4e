"""The conservation law of a dataset: every clip that was found is in the ledger once, in exactly one state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

STATES = ("kept", "filtered", "failed", "duplicate")
"""The states of a clip."""


def conservation_problems(
    paths: Sequence[str], clip_counts: Sequence[int], keys: Sequence[str], states: Sequence[str]
) -> list[str]:
    """Where two ledger tables break the conservation law, one line each; empty if they keep it.

    Args:
        paths: of the sources.
        clip_counts: number of clips found in each source.
        keys: of the clips.
        states: of the clips.
    """
    problems = []
    if len(set(paths)) != len(paths):
        problems.append("ledger/sources.parquet: a source comes twice")
    if len(set(keys)) != len(keys):
        problems.append("ledger/clips.parquet: a clip comes twice")
    found = sum(clip_counts)
    if found != len(keys):
        problems.append(f"ledger: {found} clips were found in the sources, {len(keys)} are in ledger/clips.parquet")
    if Counter(states).keys() - set(STATES):
        unknown = ((key, state) for key, state in zip(keys, states, strict=True) if state not in STATES)
        problems.extend(f"ledger/clips.parquet: {key} is {state!r}" for key, state in unknown)
    return problems
