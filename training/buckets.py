"""Aspect-ratio buckets: the (frames, height, width) that a batch may have, one table for each resolution.

A clip is assigned to the bucket of the nearest height / width; all samples of a batch are of one bucket.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from framemill.platform.aspect import ASPECTS
from framemill.platform.errors import RequestError

PUBLISHED: dict[int, tuple[tuple[int, int], ...]] = {
    480: (
        (448, 896),
        (480, 832),
        (528, 768),
        (560, 720),
        (624, 624),
        (672, 592),
        (720, 560),
        (768, 528),
        (816, 496),
        (832, 480),
        (896, 448),
    ),
    720: (
        (672, 1344),
        (704, 1280),
        (800, 1152),
        (832, 1088),
        (960, 960),
        (1024, 896),
        (1088, 832),
        (1152, 800),
        (1248, 736),
        (1280, 704),
        (1344, 672),
    ),
}
"""SANA-Video's tables of (height, width) by resolution. Sides of "480" are multiples of 16, for a codec stride of 8 and
2x2 patches; sides of "720" are multiples of 32, for a codec stride of 32."""
_RATIOS = tuple(ASPECTS.values())
"""Height / width of the rows of the published tables, used for every other resolution."""
SIDE = 16
"""Default unit of heights and widths, in pixels: a codec stride of 8 times the model's patch of 2."""
_TIME_STRIDE = 4
"""Frame counts are 1 + a multiple of this: causal codecs encode the first frame alone, then groups of four frames."""


@dataclass(frozen=True, order=True)
class Bucket:
    """Number of frames, height and width of a clip in pixels."""

    frames: int
    """Number of frames."""
    height: int
    """Height in pixels."""
    width: int
    """Width in pixels."""

    @property
    def name(self) -> str:
        """`<frames>x<height>x<width>`, as in the member `<key>.17x64x112.latent.npy` of a shard."""
        return f"{self.frames}x{self.height}x{self.width}"

    @property
    def ratio(self) -> float:
        """Height / width."""
        return self.height / self.width

    @staticmethod
    def parse(name: str) -> Bucket:
        """Returns the bucket that a name describes, e.g. `17x64x112`.

        Raises:
            RequestError: the name is not `<frames>x<height>x<width>`.
        """
        match = re.fullmatch(r"(\d+)x(\d+)x(\d+)", name)
        if match is None:
            raise RequestError(f"bucket {name!r}: must be <frames>x<height>x<width>, as 17x64x112")
        return Bucket(*(int(number) for number in match.groups()))


def bucket_table(resolution: int, frames: int, side: int = SIDE) -> list[Bucket]:
    """Returns the buckets of a resolution, from wide to tall.

    480 and 720 are SANA-Video's published tables, if their sides are multiples of `side`. Any other resolution R has
    the same aspect ratios at the area of R x 16R/9 pixels (720p is 720x1280), with sides rounded to multiples of
    `side`; small resolutions have fewer buckets, since sizes coincide.

    Args:
        resolution: height of the 16:9 bucket in pixels.
        frames: frames of a clip.
        side: unit of heights and widths in pixels.

    Raises:
        RequestError: `frames` is not 4k + 1, or the resolution is below `side`.
    """
    if frames < 1 or frames % _TIME_STRIDE != 1:
        raise RequestError(f"frames={frames}: must be 1 more than a multiple of {_TIME_STRIDE}, as 1, 9, 17 or 81")
    if side < 1:
        raise RequestError(f"side={side}: must be at least 1")
    if resolution < side:
        raise RequestError(f"resolution={resolution}: must be at least {side}")
    sizes = PUBLISHED.get(resolution, ())
    if not sizes or any(length % side for size in sizes for length in size):
        sizes = _computed_sizes(resolution, side)
    return [Bucket(frames, height, width) for height, width in sizes]


def _computed_sizes(resolution: int, side: int) -> tuple[tuple[int, int], ...]:
    """Returns (height, width) for each distinct aspect ratio at the area of `resolution`, in multiples of `side`."""
    area = resolution * resolution * 16 / 9

    def round_to_side(length: float) -> int:
        return max(side, round(length / side) * side)

    sizes = [(round_to_side(math.sqrt(area * ratio)), round_to_side(math.sqrt(area / ratio))) for ratio in _RATIOS]
    return tuple(dict.fromkeys(sizes))


def nearest_bucket(table: list[Bucket], width: int, height: int) -> Bucket:
    """Returns the bucket whose height / width is nearest to that of a frame of width x height pixels."""
    return min(table, key=lambda bucket: (abs(bucket.ratio - height / width), bucket))
