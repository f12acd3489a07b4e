"""Near duplicates: clips that show the same footage, found by the perceptual hashes of their frames.

Comparing all pairs of a million clips is too slow. So frames are put into buckets by some bits of their hashes, and
only frames in the same bucket are compared: locality-sensitive hashing (LSH) by bit sampling, Indyk and Motwani,
"Approximate nearest neighbors", 1998. The number of sampled bits grows with the number of frames F, so that a bucket
has about _BUCKET_SIZE frames. Each of T = _TABLES tables samples other bits; two clips are compared if a frame of the
first and a frame of the second share a bucket in any table. Time is O(T F log F), memory is O(F).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from framemill.data_filters.measure.phash import BITS, HALF

_TABLES = 16
"""Number of LSH tables."""
_BUCKET_SIZE = 16
"""Average number of frames in an LSH bucket."""
MAX_BUCKET_COMPARISONS = 64
"""Maximum number of comparisons per frame in an LSH bucket. Frames of preferred clips come first, so that each of a
thousand copies is compared with the clip to keep."""
_STILL_BITS = 4
"""A frame that differs by at most this many bits from an earlier frame of its clip is not looked up in the tables."""
Hashes = np.ndarray
"""uint64 (frames, 2): hashes of 128 bits. Mirroring a frame inverts the second word and leaves the first."""


def near_duplicates(hashes: Sequence[bytes], sources: Sequence[str], max_bits: int) -> dict[int, tuple[int, int]]:
    """Returns the near duplicates: {index of the clip: (index of the kept clip, distance in bits)}.

    A clip is a duplicate of the nearest earlier clip that is kept, if their distance is at most `max_bits`. It is never
    a duplicate of another duplicate, so that both ends of a chain of similar clips are kept. Clips of one source are
    never compared: they are at different times, and are alike only because the camera does not move.

    Args:
        hashes: of each clip in order of preference, best first, 16 bytes per frame. A clip without frames is never a
            duplicate.
        sources: path of each clip's source.
        max_bits: largest distance of a duplicate, see `distance`.
    """
    frames = [np.frombuffer(data, ">u8").astype(np.uint64).reshape(-1, 2) for data in hashes]
    candidates: dict[int, list[int]] = {}
    for i, j in zip(*_candidate_pairs(frames, sources, max_bits), strict=True):
        candidates.setdefault(int(j), []).append(int(i))
    duplicates: dict[int, tuple[int, int]] = {}
    for j in sorted(candidates):
        distances = [(distance(frames[i], frames[j]), i) for i in sorted(candidates[j]) if i not in duplicates]
        if distances and min(distances)[0] <= max_bits:
            bits, i = min(distances)
            duplicates[j] = (i, bits)
    return duplicates


def distance(first: Hashes, second: Hashes) -> int:
    """Returns the distance of two clips in bits, 0 to 128; 128 if one has no frames.

    It is the lower median, over the frames of the shorter clip, of the Hamming distance to the nearest frame of the
    longer clip, so that neither the speed nor the start of a copy matters. It is computed with all frames as they are
    and with all frames mirrored; the smaller result counts.
    """
    few, many = (first, second) if len(first) < len(second) else (second, first)
    if not len(few):
        return BITS
    even, odd = (np.bitwise_count(few[:, None, half] ^ many[None, :, half]).astype(int) for half in (0, 1))
    nearest = [bits.min(axis=1) for bits in (even + odd, even + HALF - odd)]
    middle = (len(few) - 1) // 2
    return int(min(np.partition(row, middle)[middle] for row in nearest))


def _candidate_pairs(frames: Sequence[Hashes], sources: Sequence[str], max_bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns two arrays of clip indices, i < j: the pairs to compare.

    A pair is from different sources and has two frames in one LSH bucket that are at most `max_bits` + _STILL_BITS bits
    apart.
    """
    hashes = np.concatenate([np.zeros((0, 2), np.uint64), *frames])
    counts = np.array([len(clip) for clip in frames], np.int64)
    distinct = _distinct_frames(hashes, counts)
    hashes, clip = hashes[distinct], np.repeat(np.arange(len(frames)), counts)[distinct]
    source_indices = {path: index for index, path in enumerate(dict.fromkeys(sources))}
    source = np.array([source_indices[path] for path in sources], np.int64)
    width = max(0, math.ceil(math.log2(max(1, len(hashes)) / _BUCKET_SIZE)))
    pairs = np.zeros(0, np.int64)
    for table in range(_TABLES):
        batches = _bucket_pairs(hashes, clip, source, _bucket_bits(table, width), max_bits + _STILL_BITS)
        pairs = np.unique(np.concatenate([pairs, *batches]))
    return pairs & 0xFFFFFFFF, pairs >> 32


def _distinct_frames(hashes: Hashes, counts: np.ndarray) -> np.ndarray:
    """Returns a mask of the frames that differ by more than _STILL_BITS bits from the last frame in the mask.

    Each clip is treated on its own; its first frame is in the mask.

    Args:
        hashes: the hashes of the frames of all clips, clip after clip.
        counts: int (clips,), the number of frames of each clip.

    Returns:
        bool (frames,).
    """
    begin = np.cumsum(counts) - counts
    distinct = np.zeros(len(hashes), bool)
    last = begin.copy()
    # All clips advance together, one frame per step.
    for step in range(int(counts.max(initial=0))):
        clips = np.flatnonzero(counts > step)
        frame = begin[clips] + step
        bits = np.bitwise_count(hashes[frame] ^ hashes[last[clips]]).sum(axis=1)
        new = bits > (_STILL_BITS if step else -1)
        distinct[frame[new]], last[clips[new]] = True, frame[new]
    return distinct


def _bucket_pairs(
    hashes: Hashes, clip: np.ndarray, source: np.ndarray, bits: np.ndarray, max_bits: int
) -> Iterator[np.ndarray]:
    """Yields arrays of the pairs of clips (i, j), i < j, with near frames in one bucket of a table, as j << 32 | i.

    Args:
        hashes: the hashes of the distinct frames.
        clip: int (frames,), index of the clip of each frame, ascending.
        source: int (clips,), index of the source of each clip.
        bits: the bits of the first word whose values identify the bucket.
        max_bits: largest Hamming distance of two frames.
    """
    bucket = np.zeros(len(hashes), np.uint64)
    for bit in bits:
        bucket = bucket << np.uint64(1) | hashes[:, 0] >> bit & np.uint64(1)
    # The sort is stable, so that the frames of a bucket stay in the order of their clips.
    order = np.argsort(bucket, kind="stable")
    bucket, clip, hashes = bucket[order], clip[order], hashes[order]
    starts = np.flatnonzero(np.append(bucket[:1] == bucket[:1], bucket[1:] != bucket[:-1]))
    first = np.repeat(starts, np.diff(np.append(starts, len(bucket))))
    later = np.arange(len(bucket))
    for offset in range(MAX_BUCKET_COMPARISONS):
        later = later[first[later] + offset < later]
        earlier = first[later] + offset
        other_source = source[clip[earlier]] != source[clip[later]]
        a, b = earlier[other_source], later[other_source]
        even, odd = np.bitwise_count(hashes[a] ^ hashes[b]).T.astype(np.int64)
        near = even + np.minimum(odd, HALF - odd) <= max_bits
        yield clip[b[near]] << 32 | clip[a[near]]


def _bucket_bits(table: int, width: int) -> np.ndarray:
    """Returns the `width` bits whose values identify the buckets of a table.

    They are drawn from the first word, which mirroring leaves unchanged.
    """
    order = np.random.PCG64(table).random_raw(HALF).argsort(kind="stable")
    return order[:width].astype(np.uint64)
