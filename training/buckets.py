"""Buckets: the (frames, height, width) a batch may have, one small table for each resolution of a curriculum.

A clip goes to the bucket whose height / width is nearest to its own; every sample of a batch is of one bucket.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from framemill.platform.aspect import ASPECTS
from framemill.platform.errors import RequestError

# The published tables of SANA-Video, as (height, width). "480" suits a stride of 8 with 2x2 patches, "720" a stride of
# 32: all sides are multiples of 16, those of "720" of 32.
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
RATIOS = tuple(ASPECTS.values())
"""Height / width of the published tables' rows, used for every other resolution."""
SIDE = 16
"""Sides are multiples of it, where no other is asked for: a codec's stride of 8 times the model's patch of 2."""
TIME_STRIDE = 4
"""Frame counts are 1 + a multiple of it: causal video codecs keep the first frame alone and fold the rest in fours."""


@dataclass(frozen=True, order=True)
class Bucket:
    """The shape of a clip: frames, and height and width in pixels."""

    frames: int
    height: int
    width: int

    @property
    def name(self) -> str:
        """As in the member `<key>.17x64x112.latent.npy` of a shard."""
        return f"{self.frames}x{self.height}x{self.width}"

    @property
    def ratio(self) -> float:
        """Height / width."""
        return self.height / self.width

    @staticmethod
    def parse(name: str) -> Bucket:
        """The bucket of that name.

        Raises:
            RequestError: the name is not `<frames>x<height>x<width>`.
        """
        match = re.fullmatch(r"(\d+)x(\d+)x(\d+)", name)
        if match is None:
            raise RequestError(f"bucket {name!r}: is written <frames>x<height>x<width>, as 17x64x112")
        return Bucket(*(int(number) for number in match.groups()))


def bucket_table(resolution: int, frames: int, side: int = SIDE) -> list[Bucket]:
    """The buckets of a resolution, from wide to tall, for clips of `frames` frames.

    480 and 720 are SANA-Video's published tables, where their sides are multiples of `side`. Another resolution R has
    the same aspect ratios at the area of R x 16R/9 pixels (as 720p is 720x1280), sides rounded to multiples of `side`;
    small ones have fewer, as sizes coincide.

    Raises:
        RequestError: a frame count that is not 4k + 1, or a resolution below `side`.
    """
    if frames < 1 or frames % TIME_STRIDE != 1:
        raise RequestError(f"frames={frames}: is 1 more than a multiple of {TIME_STRIDE}, as 1, 9, 17 or 81")
    if side < 1:
        raise RequestError(f"side={side}: is at least 1")
    if resolution < side:
        raise RequestError(f"resolution={resolution}: is at least {side}")
    sizes = PUBLISHED.get(resolution, ())
    if not sizes or any(length % side for size in sizes for length in size):
        sizes = computed_sizes(resolution, side)
    return [Bucket(frames, height, width) for height, width in sizes]


def computed_sizes(resolution: int, side: int) -> tuple[tuple[int, int], ...]:
    """(height, width) for each distinct aspect ratio at the area of `resolution`, in multiples of `side`."""
    area = resolution * resolution * 16 / 9

    def rounded(length: float) -> int:
        return max(side, round(length / side) * side)

    sizes = [(rounded(math.sqrt(area * ratio)), rounded(math.sqrt(area / ratio))) for ratio in RATIOS]
    return tuple(dict.fromkeys(sizes))


def nearest_bucket(table: list[Bucket], width: int, height: int) -> Bucket:
    """The bucket of `table` whose height / width is nearest to that of a picture of width x height pixels."""
    return min(table, key=lambda bucket: (abs(bucket.ratio - height / width), bucket))
