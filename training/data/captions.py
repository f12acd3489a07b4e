"""The captions of a clip, the weights of the captions, and the choice of a caption for a training step.

SANA-Video trains on each clip's original text in 5 % of the steps and on a model's caption in 95 %: here each caption
of a dataset has its own weight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class WeightedCaption:
    """One caption of a clip."""

    text: str
    """The caption."""
    weight: float
    """How often training uses the caption, relative to the clip's other captions."""


def weighted_captions(caption: str | None, captions: Sequence[Mapping[str, Any]] | None) -> list[WeightedCaption]:
    """Returns a clip's main caption, then its other captions whose weight is above 0.

    Args:
        caption: column `caption` of `samples.parquet`: the main caption.
        captions: column `captions`: a struct of text and weight per caption, main caption first; None in datasets
            written before clips had several captions.
    """
    captions = captions or []
    main = WeightedCaption(caption or "", captions[0]["weight"] if captions else 1.0)
    others = [WeightedCaption(other["text"], other["weight"]) for other in captions[1:]]
    return [main, *(other for other in others if other.weight > 0)]


def text_extension(number: int) -> str:
    """Returns the extension of the shard member with the embedding of caption `number`; 0 is the main caption."""
    return f"text{number or ''}.npy"


def pick_caption(weights: Sequence[float], chance: float) -> int:
    """Returns the number of a caption, chosen with a probability proportional to its weight.

    Args:
        weights: weight of each caption; if all are 0, the main caption (0) is chosen.
        chance: uniformly random number in [0, 1).
    """
    remaining = chance * sum(weights)
    for number, weight in enumerate(weights):
        remaining -= weight
        if remaining < 0:
            return number
    return 0
