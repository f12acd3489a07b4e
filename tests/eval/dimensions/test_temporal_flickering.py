"""temporal_flickering equals upstream's arithmetic, which is repeated here with cv2."""

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest

from framemill.eval.dimensions.base import CannotMeasure, DecodedVideo
from framemill.eval.dimensions.registry import load_dimension

DIMENSION = load_dimension("temporal_flickering")


def flickering(frames: np.ndarray) -> float:
    return DIMENSION.measure(DecodedVideo(frames, 8.0, "")).video_results


def expected_score(frames: list[np.ndarray]) -> float:
    pairs = itertools.pairwise(frames)
    errors = [float(np.mean(cv2.absdiff(a.astype(np.float32), b.astype(np.float32)))) for a, b in pairs]
    return (255.0 - sum(errors) / len(errors)) / 255.0


def test_equals_the_formula_on_noise() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (7, 48, 64, 3), dtype=np.uint8)
    assert flickering(frames) == pytest.approx(expected_score(list(frames)), abs=1e-7)


def test_known_values() -> None:
    still = np.full((4, 8, 8, 3), 90, np.uint8)
    assert flickering(still) == 1.0
    blinking = np.zeros((5, 8, 8, 3), np.uint8)
    blinking[1::2] = 255
    assert flickering(blinking) == 0.0
    # One channel of three steps by 51 = 255/5 in one of two pairs: 1 - 1/5/3/2.
    step = np.zeros((3, 8, 8, 3), np.uint8)
    step[2, ..., 1] = 51
    assert flickering(step) == pytest.approx(1 - 1 / 30, abs=1e-7)


def test_channel_order_does_not_matter() -> None:
    frames = np.random.default_rng(1).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    assert flickering(frames[..., ::-1]) == pytest.approx(flickering(frames), abs=1e-7)


def test_a_single_frame_cannot_be_measured() -> None:
    with pytest.raises(CannotMeasure, match="only one"):
        flickering(np.zeros((1, 8, 8, 3), np.uint8))


@pytest.mark.parametrize("name", ["bikes.mp4", "hiker_tiny.mp4", "h265_128px.mp4", "rotated_90.mov", "tiny_2fps.mp4"])
def test_real_clips_as_upstream_decodes_them(shared_videos: Path, name: str) -> None:
    """Upstream reads with cv2; for 8-bit 4:2:0 video, PyAV decodes bit-identical frames."""
    from framemill.platform.vision.video import read_video

    capture, frames = cv2.VideoCapture(str(shared_videos / name)), []
    while len(frames) < 40:
        more, frame = capture.read()
        if not more:
            break
        frames.append(frame)
    ours = read_video(str(shared_videos / name), max_frames=40)
    assert len(ours) == len(frames)
    assert flickering(ours) == pytest.approx(expected_score(frames), abs=1e-6)
