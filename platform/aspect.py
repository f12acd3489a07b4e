"""Aspect-ratio classes: the eleven classes of SANA-Video's bucket tables.

The classes are part of the dataset format: `samples.parquet` names the class of each sample.
"""

from __future__ import annotations

ASPECTS = {
    "2:1": 0.5,
    "16:9": 0.57,
    "3:2": 0.68,
    "4:3": 0.78,
    "1:1": 1.0,
    "8:9": 1.13,
    "3:4": 1.29,
    "2:3": 1.46,
    "3:5": 1.67,
    "9:16": 1.75,
    "1:2": 2.0,
}
"""Height / width of each class in the published tables by name (width:height), from wide to tall.

The name is the nearest common ratio: 0.57 is 832x480, which is 16:9 rounded to multiples of 16."""


def aspect_ratio(width: int, height: int) -> str:
    """Returns the name of the class whose aspect ratio is nearest to that of a frame of `width` x `height` pixels."""
    return min(ASPECTS, key=lambda name: (abs(ASPECTS[name] - height / width), name))
