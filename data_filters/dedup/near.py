"""Near duplicates: clips that show the same footage, found by the perceptual hashes of their frames.

All pairs of a million clips are far too many to compare. So frames are sorted into buckets by some bits of their hashes
(Indyk and Motwani, "Approximate nearest neighbors", 1998), and only those that share one are compared. Of F frames a
bucket holds about CELL, whatever F is; each pair of frames in which two copies are alike may meet in any of the tables.
Time is O(TABLES F log F), with at most CROWD comparisons a frame and table; memory is O(F).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from framemill.data_filters.measure.phash import BITS, HALF

TABLES = 16
CELL = 16
CROWD = 64
"""Of one bucket each frame is compared with so many that go before it, those of the best clips: of a thousand copies
all but the best will go, and it is there."""
STILL = 4
"""Bits. A frame that differs by no more from an earlier one of its clip need not be looked up too."""
Words = np.ndarray
"""Hashes as uint64 (frames, 2)."""


def near_duplicates(hashes: Sequence[bytes], sources: Sequence[str], most: int) -> dict[int, tuple[int, int]]:
    """Of clips in order of preference, the best first: {number: (number of the kept clip it repeats, distance)}.

    A clip goes if a kept one before it lies within `most` bits, to the nearest of them; never for one that itself
    goes, so that of a chain each of whose links is near, the far ends stay. Clips of one source are never compared:
    they lie at different times, and what is alike in them is a camera that stands still.

    Args:
        hashes: of each clip, 16 bytes a frame; one without frames repeats nothing.
        sources: which source each clip is of.
    """
    gone: dict[int, tuple[int, int]] = {}
    frames = [np.frombuffer(one, ">u8").astype(np.uint64).reshape(-1, 2) for one in hashes]
    before: dict[int, list[int]] = {}
    for i, j in zip(*meetings(frames, sources, most), strict=True):
        before.setdefault(int(j), []).append(int(i))
    for j in sorted(before):
        near = [(distance(frames[i], frames[j]), i) for i in sorted(before[j]) if i not in gone]
        if near and min(near)[0] <= most:
            bits, i = min(near)
            gone[j] = (i, bits)
    return gone


def distance(one: Words, other: Words) -> int:
    """Bits that differ, 0..128, between two clips' hashes.

    At least half of the frames of the clip with fewer lie that near to one of the other's: so it does not matter how
    fast or from when on a copy runs. All frames are seen as they are, or all mirrored.
    """
    few, many = (one, other) if len(one) < len(other) else (other, one)
    if not len(few):
        return BITS
    even, odd = (np.bitwise_count(few[:, None, half] ^ many[None, :, half]).astype(int) for half in (0, 1))
    nearest = [table.min(axis=1) for table in (even + odd, even + HALF - odd)]
    middle = (len(few) - 1) // 2
    return int(min(np.partition(row, middle)[middle] for row in nearest))


def meetings(frames: Sequence[Words], sources: Sequence[str], most: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers (i, j), i < j, of clips of different sources that may have a pair of frames within `most` bits, as far
    as their buckets tell."""
    words = np.concatenate([np.zeros((0, 2), np.uint64), *frames])
    counts = np.array([len(one) for one in frames], np.int64)
    moved = changes(words, counts)
    words, clip = words[moved], np.repeat(np.arange(len(frames)), counts)[moved]
    place = {path: number for number, path in enumerate(dict.fromkeys(sources))}
    source = np.array([place[path] for path in sources], np.int64)
    width = max(0, math.ceil(math.log2(max(1, len(words)) / CELL)))
    found = np.zeros(0, np.int64)
    for table in range(TABLES):
        met = list(bucket_pairs(words, clip, source, bucket_bits(table, width), most + STILL))
        found = np.unique(np.concatenate([found, *met]))
    return found & 0xFFFFFFFF, found >> 32


def changes(words: Words, counts: np.ndarray) -> np.ndarray:
    """Which frames differ by more than STILL bits from the one before of their clip of which that is said."""
    begin = np.cumsum(counts) - counts
    moved = np.zeros(len(words), bool)
    last = begin.copy()
    for step in range(int(counts.max(initial=0))):
        has = np.flatnonzero(counts > step)
        at = begin[has] + step
        new = np.bitwise_count(words[at] ^ words[last[has]]).sum(axis=1) > (STILL if step else -1)
        moved[at[new]], last[has[new]] = True, at[new]
    return moved


def bucket_pairs(
    words: Words, clip: np.ndarray, source: np.ndarray, bits: np.ndarray, most: int
) -> Iterator[np.ndarray]:
    """Of one table, the clips that meet, as j << 32 | i."""
    bucket = np.zeros(len(words), np.uint64)
    for bit in bits:
        bucket = bucket << np.uint64(1) | words[:, 0] >> bit & np.uint64(1)
    order = np.argsort(bucket, kind="stable")  # and so, in each bucket, by clip
    bucket, clip, words = bucket[order], clip[order], words[order]
    starts = np.flatnonzero(np.append(bucket[:1] == bucket[:1], bucket[1:] != bucket[:-1]))
    first = np.repeat(starts, np.diff(np.append(starts, len(bucket))))
    later = np.arange(len(bucket))
    for offset in range(CROWD):
        later = later[first[later] + offset < later]
        one = first[later] + offset
        apart = source[clip[one]] != source[clip[later]]
        one, other = one[apart], later[apart]
        even, odd = np.bitwise_count(words[one] ^ words[other]).T.astype(np.int64)
        near = even + np.minimum(odd, HALF - odd) <= most
        yield clip[other[near]] << 32 | clip[one[near]]


def bucket_bits(table: int, width: int) -> np.ndarray:
    """Numbers of the bits that name a table's buckets: of the half that mirroring leaves as it is."""
    order = np.random.PCG64(table).random_raw(HALF).argsort(kind="stable")
    return order[:width].astype(np.uint64)
