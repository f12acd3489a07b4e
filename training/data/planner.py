"""Which clips make which batch: a pure function of (seed, stage, step), for any number of workers.

A stage sees its clips epoch by epoch. In an epoch each bucket gives ceil(clips / batch) batches, the last of them
filled up with the bucket's first clips of that epoch (the wrap); within an epoch the batches of all buckets come
mixed. Both orders are keyed permutations, so that the batch of any step is found in O(1): resuming costs nothing and
needs no state but the step. A rank takes its slice of the global batch, which no number of ranks changes.

Steps on images come at even distances among those on video, and go through the clips in an order of their own.
"""

from __future__ import annotations

import hashlib
import json
import math
from bisect import bisect_right
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

MASK64 = (1 << 64) - 1
ROUNDS = 6


def key64(*parts: Any) -> int:
    """A 64-bit key of plain values: equal parts give equal keys on every machine and in every process."""
    text = json.dumps(parts, separators=(",", ":"))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def mix64(value: int) -> int:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, 2014): scatters 64 bits."""
    value = (value + 0x9E3779B97F4A7C15) & MASK64
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK64
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK64
    return value ^ (value >> 31)


def permute(index: int, size: int, key: int) -> int:
    """Where a keyed permutation of range(size) sends `index`, in O(1) and without a table.

    A Feistel network permutes the next power of four; cycle walking (Black and Rogaway, 2002) applies it again until
    the value lies below `size`, less than four times on average.

    Raises:
        IndexError: `index` is not in range(size).
    """
    if not 0 <= index < size:
        raise IndexError(f"index {index} is not in range({size})")
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    while True:
        left, right = index >> half, index & mask
        for number in range(ROUNDS):
            left, right = right, left ^ (mix64(key ^ (number << 56) ^ right) & mask)
        index = left << half | right
        if index < size:
            return index


@dataclass(frozen=True)
class Batch:
    """A global batch: rows of the dataset, all with a latent of `bucket`. A row's place in it is its position."""

    bucket: str
    rows: tuple[int, ...]
    images: bool = False  # of each clip the first latent frame alone

    def share(self, rank: int, workers: int) -> range:
        """The positions that a rank takes: an equal, contiguous slice."""
        size = len(self.rows) // workers
        return range(rank * size, (rank + 1) * size)


class Order:
    """Batches over the rows of each bucket, as an endless sequence indexed by their number."""

    def __init__(self, name: str, rows: dict[str, list[int]], batch_size: int, seed: int) -> None:
        self.name, self.rows, self.batch_size, self.seed = name, rows, batch_size, seed
        self.buckets = list(rows)
        self._ends = list(accumulate(-(-len(found) // batch_size) for found in rows.values()))

    @property
    def epoch_batches(self) -> int:
        """Batches in an epoch."""
        return self._ends[-1]

    def batch(self, index: int) -> Batch:
        """The batch of that number, counted from 0."""
        epoch, place = divmod(index, self.epoch_batches)
        slot = permute(place, self.epoch_batches, key64(self.seed, self.name, epoch))
        number = bisect_right(self._ends, slot)
        bucket = self.buckets[number]
        first = (slot - (self._ends[number - 1] if number else 0)) * self.batch_size
        rows, key = self.rows[bucket], key64(self.seed, self.name, epoch, bucket)
        places = ((first + offset) % len(rows) for offset in range(self.batch_size))
        return Batch(bucket, tuple(rows[permute(place, len(rows), key)] for place in places))

    @property
    def key(self) -> int:
        """Over everything the order follows from."""
        return key64(self.name, self.batch_size, self.seed, self.rows)


class StagePlan:
    """The batches of one stage over the rows of each bucket, as an endless sequence indexed by the stage's step."""

    def __init__(
        self,
        stage: str,
        rows: dict[str, list[int]],
        batch_size: int,
        seed: int,
        images: float = 0.0,
        image_batch_size: int = 0,
    ) -> None:
        """`rows`: the dataset's row numbers by bucket name; buckets without rows take no part.

        `images` is the share of steps on images, `image_batch_size` how many such a step has, 0 for batch_size.
        """
        self.stage, self.images = stage, images
        self.rows = {bucket: list(rows[bucket]) for bucket in sorted(rows) if rows[bucket]}
        if not self.rows:
            raise ValueError(f"stage {stage}: no rows to plan")
        self._videos = Order(stage, self.rows, batch_size, seed)
        self._images = Order(f"{stage} images", self.rows, image_batch_size or batch_size, seed)

    @property
    def epoch_batches(self) -> int:
        """Batches of video in an epoch."""
        return self._videos.epoch_batches

    def batch(self, step: int) -> Batch:
        """The global batch of the stage's step, counted from 0."""
        before = math.floor(step * self.images)  # steps on images so far
        if math.floor((step + 1) * self.images) > before:
            return replace(self._images.batch(before), images=True)
        return self._videos.batch(step - before)

    @property
    def fingerprint(self) -> str:
        """16 hex digits over everything the order follows from: two plans with the same one give the same batches."""
        key = key64(self._videos.key, self._images.key, self.images) if self.images else self._videos.key
        return f"{key:016x}"
