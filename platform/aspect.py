"""Aspect-ratio classes: the eleven of SANA-Video's bucket tables, under the names people use."""

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
"""Height / width of each class as the published tables give it, from wide to tall. The name is width:height, rounded to
the usual one (0.57 is 832x480: 16:9 in multiples of 16)."""


def aspect_ratio(width: int, height: int) -> str:
    """The class whose height / width is nearest to that of a picture of width x height pixels."""
    return min(ASPECTS, key=lambda name: (abs(ASPECTS[name] - height / width), name))
