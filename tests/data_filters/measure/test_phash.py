"""The perceptual hash: alike for copies, far apart for other pictures, and its definition written out."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest

from framemill.data_filters.measure.phash import phash
from framemill.platform.vision.reel import Scene, render_scene
from tests.support.drawn_clips import HEIGHT, WIDTH, clip_of, through_codec, with_bars


def hash_of(frames: list[np.ndarray]) -> bytes:
    clip = clip_of(frames)
    return phash(clip.bars.inside(clip.frames[8]))


def bits(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_count()


def texture(seed: int) -> np.ndarray:
    """A random picture with large forms and small ones."""
    random = np.random.default_rng(seed)
    sizes = ((4, 7), (9, 16), (36, 64))
    forms = [
        cv2.resize(random.normal(0, 30, (*size, 3)), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) for size in sizes
    ]
    return np.clip(sum(forms) + 128, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("seed", range(4))
def test_copies_hash_alike_and_other_pictures_do_not(tmp_path: Path, seed: int) -> None:
    frames = [texture(seed)] * 16
    original = hash_of(frames)
    assert len(original) == 16
    assert bits(original, hash_of(through_codec(tmp_path, frames, crf=32))) <= 4, "encoded again"
    assert bits(original, hash_of(through_codec(tmp_path, frames, size=(160, 90)))) <= 4, "scaled"
    assert bits(original, hash_of(through_codec(tmp_path, with_bars(frames, 24, 0)))) <= 6, "letterboxed"
    assert bits(original, hash_of(through_codec(tmp_path, with_bars(frames, 0, 44)))) <= 6, "pillarboxed"
    others = [bits(original, hash_of([texture(other)] * 16)) for other in range(100, 130)]
    assert min(others) >= 40 and 56 <= np.mean(others) <= 72


def test_a_hash_is_the_signs_of_sums_of_the_lowest_frequencies() -> None:
    """Against transform and sums written out."""
    small = cv2.resize(texture(7), (32, 32), interpolation=cv2.INTER_AREA).astype(float) @ np.array(
        [[0.299, 0.5, -0.168736], [0.587, -0.418688, -0.331264], [0.114, -0.081312, 0.5]]
    )
    k, n = np.mgrid[:32, :32]
    basis = np.sqrt(2 / 32) * np.cos(np.pi * (2 * n + 1) * k / 64)
    basis[0] /= np.sqrt(2)
    halves: list[list[float]] = [[], []]
    for odd in (0, 1):
        for plane, side in ((0, 8), (1, 4), (2, 4)):
            for row in range(side):
                for column in range(odd, side, 2):
                    wave = float(basis[row] @ small[..., plane] @ basis[column])
                    if plane == 0:
                        wave *= np.hypot(row, column) ** 0.5
                    elif row == column == 0:
                        wave *= 0.2
                    halves[odd].append(np.sign(wave) * abs(wave) ** 0.5)
    expected = [
        sum(value * (-1) ** (number & at).bit_count() for at, value in enumerate(half)) > 0
        for half in halves
        for number in range(64)
    ]
    # Chroma from OpenCV, and the smaller picture from 8-bit levels: a sum near 0 may go the other way.
    assert bits(phash(texture(7)), np.packbits(expected).tobytes()) <= 3


def test_a_picture_of_nothing_has_no_hash() -> None:
    assert phash(np.full((90, 160, 3), 200, np.uint8)) == b""


def test_a_mirrored_picture_has_the_second_half_of_its_bits_inverted() -> None:
    for frame in itertools.islice(render_scene(Scene("red", "grey"), 3), 4):
        plain, flipped = (np.frombuffer(phash(one), ">u8") for one in (frame, frame[:, ::-1]))
        assert np.bitwise_count(plain[0] ^ flipped[0]) <= 1
        assert np.bitwise_count(plain[1] ^ ~flipped[1]) <= 1
