"""The batch planner: assigns clips to batches as a pure function of (seed, stage, step), for any number of workers.

A stage uses its clips epoch by epoch. In an epoch each bucket gives ceil(clips / batch size) batches, the last of them
filled up with the bucket's first clips of that epoch; the batches of all buckets are shuffled together. Both orders are
keyed permutations, so that the batch of any step is found in O(1): a resume costs nothing and needs no state but the
step. A rank takes its slice of the global batch, which does not depend on the number of ranks.

Image steps are spread evenly among video steps, and use the clips in a separate order.
"""

from __future__ import annotations

import hashlib
import json
import math
from bisect import bisect_right
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

_MASK64 = (1 << 64) - 1
_ROUNDS = 6
"""Rounds of the Feistel network."""


def key64(*parts: Any) -> int:
    """Returns a 64-bit hash of JSON values: equal values give equal hashes on every machine and in every process."""
    text = json.dumps(parts, separators=(",", ":"))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _mix64(value: int) -> int:
    """Returns 64 scattered bits: the finaliser of SplitMix64 (Steele, Lea and Flood, 2014)."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK64
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK64
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK64
    return value ^ (value >> 31)


def permute(index: int, size: int, key: int) -> int:
    """Returns the image of `index` under a keyed permutation of range(size), in O(1) and without a table.

    A Feistel network permutes the next power of four; cycle walking (Black and Rogaway, 2002) applies it again until
    the value is below `size`, less than four times on average.

    Args:
        index: a number of range(size).
        size: size of the permuted range.
        key: selects the permutation.

    Raises:
        IndexError: `index` is not in range(size).
    """
    if not 0 <= index < size:
        raise IndexError(f"index {index} is not in range({size})")
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    while True:
        left, right = index >> half, index & mask
        for number in range(_ROUNDS):
            left, right = right, left ^ (_mix64(key ^ (number << 56) ^ right) & mask)
        index = left << half | right
        if index < size:
            return index


@dataclass(frozen=True)
class GlobalBatch:
    """The clips of one step over all ranks. A clip's position is its index in `rows`."""

    bucket: str
    """Bucket of all clips."""
    rows: tuple[int, ...]
    """Rows of the dataset."""
    images: bool = False
    """Whether only the first latent frame of each clip is used."""

    def positions(self, rank: int, workers: int) -> range:
        """Returns the positions in `rows` of a rank's clips: an equal, contiguous slice of the batch.

        Args:
            rank: index of the rank.
            workers: number of ranks, which must divide the number of clips.
        """
        size = len(self.rows) // workers
        return range(rank * size, (rank + 1) * size)


class BatchOrder:
    """An endless sequence of batches over the rows of each bucket, indexed by number."""

    def __init__(self, name: str, rows: dict[str, list[int]], batch_size: int, seed: int) -> None:
        """Makes the sequence.

        Args:
            name: name of the sequence; with the seed it selects the permutations.
            rows: row numbers by bucket.
            batch_size: rows in a batch.
            seed: seed of the permutations.
        """
        self.name, self.rows, self.batch_size, self.seed = name, rows, batch_size, seed
        self.buckets = list(rows)
        self._ends = list(accumulate(-(-len(bucket_rows) // batch_size) for bucket_rows in rows.values()))

    @property
    def epoch_batches(self) -> int:
        """Number of batches in an epoch."""
        return self._ends[-1]

    def batch(self, index: int) -> GlobalBatch:
        """Returns the batch with an index, counted from 0."""
        epoch, position = divmod(index, self.epoch_batches)
        slot = permute(position, self.epoch_batches, key64(self.seed, self.name, epoch))
        number = bisect_right(self._ends, slot)
        bucket = self.buckets[number]
        first = (slot - (self._ends[number - 1] if number else 0)) * self.batch_size
        rows, key = self.rows[bucket], key64(self.seed, self.name, epoch, bucket)
        indices = ((first + offset) % len(rows) for offset in range(self.batch_size))
        return GlobalBatch(bucket, tuple(rows[permute(index, len(rows), key)] for index in indices))

    @property
    def key(self) -> int:
        """64-bit hash of everything that determines the order."""
        return key64(self.name, self.batch_size, self.seed, self.rows)


class StagePlan:
    """The batches of one stage, an endless sequence indexed by the stage's step."""

    def __init__(
        self,
        stage: str,
        rows: dict[str, list[int]],
        batch_size: int,
        seed: int,
        images: float = 0.0,
        image_batch_size: int = 0,
    ) -> None:
        """Makes the plan.

        Args:
            stage: name of the stage.
            rows: row numbers by bucket name; buckets without rows are ignored.
            batch_size: clips in a video step.
            seed: seed of the orders.
            images: share of image steps.
            image_batch_size: images in an image step; 0: `batch_size`.

        Raises:
            ValueError: there are no rows.
        """
        self.stage, self.images = stage, images
        self.rows = {bucket: list(rows[bucket]) for bucket in sorted(rows) if rows[bucket]}
        if not self.rows:
            raise ValueError(f"stage {stage}: no rows to plan")
        self._video_order = BatchOrder(stage, self.rows, batch_size, seed)
        self._image_order = BatchOrder(f"{stage} images", self.rows, image_batch_size or batch_size, seed)

    @property
    def epoch_batches(self) -> int:
        """Number of video batches in an epoch."""
        return self._video_order.epoch_batches

    def batch(self, step: int) -> GlobalBatch:
        """Returns the global batch of the stage's step, counted from 0."""
        image_steps = math.floor(step * self.images)  # before this step
        if math.floor((step + 1) * self.images) > image_steps:
            return replace(self._image_order.batch(image_steps), images=True)
        return self._video_order.batch(step - image_steps)

    @property
    def fingerprint(self) -> str:
        """Hash of everything that determines the batches, 16 hex digits: plans with equal fingerprints are equal."""
        order = self._video_order.key
        key = key64(order, self._image_order.key, self.images) if self.images else order
        return f"{key:016x}"
