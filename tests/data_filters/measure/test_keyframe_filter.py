"""The key-frame screen: what is hopeless ends there, and nothing else does, least of all a damaged file."""

from pathlib import Path

import av
import numpy as np
import pytest

from framemill.data_filters.filters.registry import FILTERS
from framemill.data_filters.ledger.reasons import Cause, Reason
from framemill.data_filters.measure.config import PrefilterConfig
from framemill.data_filters.measure.decode_pass import measure_source
from framemill.data_filters.measure.keyframe_filter import keyframe_prefilter, spread_key_frames
from framemill.data_filters.measure.messages import Ended, MeasuredClip, MeasureSettings
from framemill.platform.vision.video import probe
from tests.support.footage import again_and_again, moving, write

FPS = 8
EACH_SECOND = {"g": str(FPS), "keyint_min": str(FPS), "sc_threshold": "0"}


def verdict(path: Path) -> str | None:
    return keyframe_prefilter(str(path), probe(str(path)), PrefilterConfig())


def measured(path: Path, config: PrefilterConfig | None) -> tuple[list[MeasuredClip], Ended]:
    items = list(measure_source(str(path), MeasureSettings(2.0, 10.0, tuple(FILTERS), keyframe_prefilter=config)))
    return [item for item in items if isinstance(item, MeasuredClip)], items[-1]


def still(seconds: int = 8) -> np.ndarray:
    return moving(3, size=(320, 180))[[0] * (seconds * FPS)]


def blank(seconds: int = 4, level: int = 90) -> np.ndarray:
    return np.full((seconds * FPS, 180, 320, 3), level, np.uint8)


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libvpx-vp9", "mjpeg"])
def test_a_still_is_screened(tmp_path: Path, codec: str) -> None:
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    options = {"qmin": "4", "qmax": "4"} if codec == "mjpeg" else {"g": str(FPS)}
    path = write(tmp_path / "a.mkv", still(), codec=codec, pixel_format=pixels, options=options)
    assert verdict(path) == "a still picture: nothing changes between key frames"
    assert measured(path, PrefilterConfig()) == ([], Ended(Reason(Cause.PREFILTERED, detail=verdict(path))))
    clips, ended = measured(path, None)
    assert ended.reason is None and all(clip.scores["motion"] < 0.05 for clip in clips), "the pass would keep nothing"


@pytest.mark.parametrize("level", [0, 90, 255])
def test_blank_pictures_are_screened(tmp_path: Path, level: int) -> None:
    path = write(tmp_path / "a.mp4", blank(level=level), options=EACH_SECOND)
    assert verdict(path) == "every key frame is blank"


def test_a_tiny_picture_is_screened_whatever_it_shows(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", moving(1, size=(48, 24)), codec="ffv1", pixel_format="bgr0")
    assert verdict(path) == "its shorter side is below 32 pixels"
    assert keyframe_prefilter(str(path), probe(str(path)), PrefilterConfig(min_side=24)) is None


def test_too_little_is_seen_of_a_short_still(tmp_path: Path) -> None:
    assert verdict(write(tmp_path / "a.mp4", still(4), options=EACH_SECOND)) is None
    assert verdict(write(tmp_path / "b.mp4", still(8), options={"g": "250"})) is None, "one key frame"


def test_what_moves_between_equal_key_frames_is_left_to_the_pass(tmp_path: Path) -> None:
    gop = write(tmp_path / "gop.mp4", moving(5, seconds=1), options={"bf": "0", "g": "250"})
    looped = again_and_again(gop, tmp_path / "looped.mp4", 1 / FPS, 20)
    assert verdict(looped) is None
    pictures = write(tmp_path / "b.mkv", moving(5, seconds=1), codec="mjpeg", pixel_format="yuvj420p")
    assert verdict(again_and_again(pictures, tmp_path / "intra.mp4", 1 / FPS, 120)) is None, "every picture a key frame"


def test_a_short_movement_in_a_still_is_left_to_the_pass(tmp_path: Path) -> None:
    frames = still(12)
    moved = moving(3, seconds=0.75, size=(320, 180))
    frames[20 : 20 + len(moved)] = moved
    assert verdict(write(tmp_path / "a.mp4", frames, options={"g": "16", "sc_threshold": "0"})) is None


def test_pictures_that_change_are_left_to_the_pass(tmp_path: Path) -> None:
    slides = np.concatenate([moving(seed, size=(320, 180))[[0] * 2 * FPS] for seed in range(4)])
    assert verdict(write(tmp_path / "a.mp4", slides, options=EACH_SECOND)) is None
    corner = still()
    corner[20:, 10:24, 20:34] = 255
    assert verdict(write(tmp_path / "b.mp4", corner, options=EACH_SECOND)) is None, "a small thing appears"


def key_packets(path: Path) -> list[tuple[int, int]]:
    """Where the key frames lie in a file: (position, size)."""
    with av.open(str(path)) as container:
        return [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size and packet.is_keyframe]


@pytest.mark.parametrize("kind", ["cut short", "last byte", "key frame", "no frames"])
def test_a_damaged_still_fails_with_its_reason(tmp_path: Path, kind: str) -> None:
    """Whatever the screen is shown, the source ends as it does without a screen."""
    path = write(tmp_path / "a.mp4", still(), options=EACH_SECOND, faststart=True)
    whole = bytearray(path.read_bytes())
    if kind == "key frame":
        at, size = key_packets(path)[3]
        whole[at + 8 : at + size] = bytes(size - 8)
    ends = {"cut short": len(whole) * 2 // 3, "last byte": len(whole) - 1, "no frames": whole.index(b"mdat") + 60}
    path.write_bytes(whole[: ends.get(kind, len(whole))])
    clips, ended = measured(path, PrefilterConfig())
    clips_without, ended_without = measured(path, None)
    assert ended == ended_without and ended.reason and ended.reason.cause is Cause.UNREADABLE
    assert len(clips) == len(clips_without)


def test_no_real_clip_is_screened(shared_videos: Path) -> None:
    for path in sorted(shared_videos.iterdir()):
        assert verdict(path) is None, path.name


def test_key_frames_are_spread_from_first_to_last() -> None:
    keys = list(range(1000))
    chosen = spread_key_frames(keys, 24)
    assert chosen[0] == 0 and chosen[-1] == 999 and 12 < len(chosen) <= 24
    assert max(np.diff(chosen)) < 1000 / 8
    assert spread_key_frames(keys[:24], 24) == keys[:24]
