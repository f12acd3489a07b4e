"""Filters over every frame of a clip, and the hash of a picture, against truth that was drawn or counted otherwise."""

import itertools
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from framemill.data_filters.filters.bars import Bars
from framemill.data_filters.filters.clip_frames import ClipFrames
from framemill.data_filters.filters.registry import FILTERS
from framemill.data_filters.measure.phash import phash
from framemill.platform.vision.reel import Scene, draw
from framemill.platform.vision.video import encode_mp4, iter_frames

HEIGHT, WIDTH, FPS = 180, 320, 16


def clip_of(frames: list[np.ndarray], fps: float = FPS) -> ClipFrames:
    times = np.arange(len(frames)) / fps
    return ClipFrames(times, frames, len(frames) / fps, 0, frames[0].shape[1], frames[0].shape[0])


def score(name: str, frames: list[np.ndarray]) -> dict[str, float]:
    return FILTERS[name].load().score(clip_of(frames))


def moving(seed: int = 0, seconds: float = 2.0, pace: str = "slowly") -> list[np.ndarray]:
    scene = Scene(("red", "green", "blue", "yellow")[seed % 4], "grey", pace=pace)
    return [frame.copy() for frame in draw(scene, seed, seconds)]


def encoded(tmp_path, frames: list[np.ndarray], crf: int = 23, size: tuple[int, int] = (WIDTH, HEIGHT)) -> list:
    (tmp_path / "x.mp4").write_bytes(encode_mp4(iter(frames), FPS, crf=crf))
    return [frame.rgb for frame in iter_frames(str(tmp_path / "x.mp4"), size=size)]


# ------------------------------------------------------------------------------------------------- vmaf_motion


def vmaf_motion_by_hand(lumas: list[np.ndarray]) -> list[float]:
    """The difference of each frame from the one before by direct convolution, in whole numbers as libvmaf counts."""
    taps = [3571, 16004, 26386, 16004, 3571]

    def blur(luma: np.ndarray) -> np.ndarray:
        padded = np.pad(luma.astype(np.int64), 2, mode="reflect")
        rows = sum(tap * padded[i : i + luma.shape[0]] for i, tap in enumerate(taps))
        return sum(tap * rows[:, i : i + luma.shape[1]] for i, tap in enumerate(taps)) / 2**32

    blurred = [blur(luma) for luma in lumas]
    return [float(np.abs(b - a).mean()) for a, b in itertools.pairwise(blurred)]


def test_vmaf_motion_is_the_difference_of_blurred_lumas():
    frames = moving()
    lumas = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    expected = np.mean(vmaf_motion_by_hand(lumas)) * 219 / 255
    assert score("vmaf_motion", frames)["vmaf_motion"] == pytest.approx(expected, rel=1e-4)
    assert score("vmaf_motion", frames[:1])["vmaf_motion"] == score("vmaf_motion", frames[:1] * 9)["vmaf_motion"] == 0


@pytest.mark.skipif("vmafmotion" not in av.filter.filters_available, reason="this FFmpeg has no vmafmotion")
def test_vmaf_motion_is_ffmpegs(tmp_path):
    frames = moving()
    graph = av.filter.Graph()
    source = graph.add_buffer(width=WIDTH, height=HEIGHT, format="gray", time_base=Fraction(1, FPS))
    motion = graph.add("vmafmotion", f"stats_file={tmp_path / 'stats.txt'}")
    graph.link_nodes(source, motion, graph.add("buffersink")).configure()
    for index, frame in enumerate(frames):
        picture = av.VideoFrame.from_ndarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), format="gray")
        picture.pts = index
        graph.push(picture)
        graph.pull()
    del motion, source, graph
    words = (tmp_path / "stats.txt").read_text().split()
    theirs = [float(word.partition(":")[2]) for word in words if word.startswith("motion:")]
    assert score("vmaf_motion", frames)["vmaf_motion"] == pytest.approx(np.mean(theirs[1:]) * 219 / 255, rel=0.01)


# ------------------------------------------------------------------------------------------- clipping and bars


def test_clipping_counts_the_pixels_without_detail():
    frame = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    frame[:, 100:180] = 5
    frame[:, -32:] = 250
    assert score("clipping", [frame] * 9) == pytest.approx({"clipped_dark": 0.25, "clipped_bright": 0.1})
    assert score("clipping", barred(moving(), 30, 0)) == pytest.approx(score("clipping", moving()), abs=0.02)


def barred(frames: list[np.ndarray], above: int, beside: int, level: int = 0) -> list[np.ndarray]:
    """The frames made smaller, with bars above and below, and at both sides."""
    size = (WIDTH - 2 * beside, HEIGHT - 2 * above)
    edges = (above, above, beside, beside)
    return [
        cv2.copyMakeBorder(cv2.resize(frame, size), *edges, cv2.BORDER_CONSTANT, value=(level,) * 3) for frame in frames
    ]


@pytest.mark.parametrize(("above", "beside", "level"), [(22, 0, 0), (0, 40, 0), (20, 30, 0), (8, 0, 16), (0, 0, 0)])
def test_black_bars_are_measured_through_a_codec(tmp_path, above, beside, level):
    frames = encoded(tmp_path, barred(moving(), above, beside, level), crf=28)
    expected = 1 - (HEIGHT - 2 * above) * (WIDTH - 2 * beside) / (HEIGHT * WIDTH)
    assert score("black_bars", frames)["black_bars"] == pytest.approx(expected, abs=0.025)


def test_a_logo_and_a_night_sky_do_not_hide_bars(tmp_path):
    frames = barred(moving(), 24, 0)
    for frame in frames:
        cv2.putText(frame, "LOGO", (250, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255))
        for left in range(0, WIDTH, 40):
            frame[24 : 50 + left % 120, left : left + 40] = 3
    assert clip_of(encoded(tmp_path, frames)).bars == Bars(24, 24, 0, 0)


def night(seconds: float = 2.0) -> list[np.ndarray]:
    """Lights moving in the dark middle of a picture that fades out to all sides."""
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    shade = np.clip(1.1 - np.hypot(x, y), 0, 1)[..., None] ** 2
    return [(frame * shade * 0.6).astype(np.uint8) for frame in moving(2, seconds)]


def test_a_dark_scene_is_not_called_bars(tmp_path):
    assert score("black_bars", encoded(tmp_path, night()))["black_bars"] == 0
    assert score("black_bars", [np.zeros((HEIGHT, WIDTH, 3), np.uint8)] * 9)["black_bars"] == 0
    skyline = [frame.copy() for frame in moving()]
    for frame in skyline:
        for left in range(0, WIDTH, 40):
            frame[: 60 + left % 120, left : left + 40] = 4
    assert score("black_bars", skyline)["black_bars"] == 0


def test_what_is_dark_for_a_while_only_is_no_bar():
    frames = moving()
    for frame in frames[: len(frames) // 2]:
        frame[:30] = frame[-30:] = 0
    assert score("black_bars", frames)["black_bars"] == 0


# ---------------------------------------------------------------------------------------- duplicates and freezes


@pytest.mark.parametrize("crf", [18, 23])
def test_duplicates_are_counted_through_a_codec(tmp_path, crf):
    frames = moving(seconds=3)
    doubled = [frames[i // 2 * 2] for i in range(len(frames))]
    found = score("duplicates", encoded(tmp_path, doubled, crf))
    assert found["duplicates"] == pytest.approx(24 / 47, abs=0.05)
    assert found["frozen_s"] == pytest.approx(2 / FPS)
    frozen = score("duplicates", encoded(tmp_path, frames[:12] + [frames[12]] * 20 + frames[13:29], crf))
    assert frozen["duplicates"] == pytest.approx(19 / 47, abs=0.07)
    assert 14 / FPS <= frozen["frozen_s"] <= 20 / FPS, "the codec still refines the first frames of a freeze"


@pytest.mark.parametrize("pace", ["slowly", "quickly"])
def test_what_moves_repeats_nothing(tmp_path, pace):
    assert score("duplicates", encoded(tmp_path, moving(pace=pace))) == {"duplicates": 0, "frozen_s": 0}
    assert score("duplicates", moving()[:1]) == {"duplicates": 0, "frozen_s": 0}


def test_a_small_thing_that_moves_is_no_freeze():
    frames = [np.full((HEIGHT, WIDTH, 3), 100, np.uint8) for _ in range(16)]
    for i, frame in enumerate(frames):
        cv2.circle(frame, (20 + 6 * i, 90), 6, (200, 200, 200), -1)
    assert score("duplicates", frames)["duplicates"] == 0


# --------------------------------------------------------------------------------------------------------- flicker


def brighter(frames: list[np.ndarray], by: np.ndarray) -> list[np.ndarray]:
    return [
        np.clip(frame.astype(int) + round(float(b)), 0, 255).astype(np.uint8)
        for frame, b in zip(frames, by, strict=True)
    ]


def test_flicker_is_twice_the_amplitude():
    picture = [np.full((HEIGHT, WIDTH, 3), 120, np.uint8)] * 32
    assert score("flicker", brighter(picture, 5 * (-1) ** np.arange(32)))["flicker"] == pytest.approx(10)
    over_movement = score("flicker", brighter(moving(), 5 * (-1) ** np.arange(32)))["flicker"]
    assert over_movement == pytest.approx(10, rel=0.2)


def test_fades_cuts_and_movement_do_not_flicker():
    frames = moving(pace="quickly")
    assert score("flicker", frames)["flicker"] < 0.5
    assert score("flicker", brighter(moving(pace="still"), np.linspace(-60, 60, 32)))["flicker"] < 0.1
    assert score("flicker", brighter(moving(pace="still"), np.repeat([0, 60], 16)))["flicker"] < 0.1
    assert score("flicker", frames[:2])["flicker"] == score("flicker", frames[:1])["flicker"] == 0


def test_a_single_frame_has_every_score():
    for name, entry in FILTERS.items():
        assert set(score(name, moving()[:1])) == set(entry.columns)


# ---------------------------------------------------------------------------------------------------------- phash


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
def test_copies_hash_alike_and_other_pictures_do_not(tmp_path, seed):
    frames = [texture(seed)] * 16
    original = hash_of(frames)
    assert len(original) == 16
    assert bits(original, hash_of(encoded(tmp_path, frames, crf=32))) <= 4, "encoded again"
    assert bits(original, hash_of(encoded(tmp_path, frames, size=(160, 90)))) <= 4, "scaled"
    assert bits(original, hash_of(encoded(tmp_path, barred(frames, 24, 0)))) <= 6, "letterboxed"
    assert bits(original, hash_of(encoded(tmp_path, barred(frames, 0, 44)))) <= 6, "pillarboxed"
    others = [bits(original, hash_of([texture(other)] * 16)) for other in range(100, 130)]
    assert min(others) >= 40 and 56 <= np.mean(others) <= 72


def test_a_hash_is_the_signs_of_sums_of_the_lowest_frequencies():
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


def test_a_picture_of_nothing_has_no_hash():
    assert phash(np.full((90, 160, 3), 200, np.uint8)) == b""
