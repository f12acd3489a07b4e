"""The texts that a clip is trained on, and which of them a step sees.

SANA-Video trains on each clip's original text 5 times in 100 and on a model's caption the other 95: here each caption
of a dataset brings its own weight.
"""

from __future__ import annotations

from typing import Any


def texts_of(row: dict[str, Any]) -> list[tuple[str, float]]:
    """(text, weight) of a sample: its main caption, then those of its others that have a weight.

    A dataset from before clips had several captions has the main one.
    """
    captions = row.get("captions") or []
    main = (row["caption"] or "", captions[0]["weight"] if captions else 1.0)
    return [main, *((one["text"], one["weight"]) for one in captions[1:] if one["weight"] > 0)]


def text_member(number: int) -> str:
    """Extension of the member that holds the embedding of a sample's text `number`: the main one is `text.npy`."""
    return f"text{number or ''}.npy"


def pick(weights: list[float], chance: float) -> int:
    """Which text a chance in [0, 1) falls on; the main one where none has a weight."""
    left = chance * sum(weights)
    for number, weight in enumerate(weights):
        left -= weight
        if left < 0:
            return number
    return 0
