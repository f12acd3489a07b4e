"""A shrunken frame is the frame, whatever its format, matrix and orientation."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from framemill.platform.vision.downscale import downscale
from framemill.platform.vision.read import iter_decoded_frames, to_rgb
from framemill.platform.vision.video import encode_mp4


def smooth(height: int, width: int) -> np.ndarray:
    noise = np.random.default_rng(0).uniform(20, 235, (6, 9, 3))
    return np.clip(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuv420p10le", "rgb24", "gray"])
@pytest.mark.parametrize(("matrix", "full"), [(1, False), (5, False), (1, True), (9, False), (2, False)])
@pytest.mark.parametrize("size", [(720, 1280), (270, 482)])
def test_it_is_the_general_scalers_picture(pixels: str, matrix: int, full: bool, size: tuple[int, int]) -> None:
    # Of 4:2:0 and 4:2:2 the general scaler makes RGB by tables that leave it up to 3 levels too dark.
    frame = av.VideoFrame.from_ndarray(smooth(*size), format="rgb24").reformat(format=pixels)
    frame.colorspace, frame.color_range = matrix, 2 if full else 1
    expected = to_rgb(frame, 320, 180).astype(int)
    shrunken = downscale(frame, 320, 180).astype(int)
    assert shrunken.shape == expected.shape
    assert np.abs(shrunken - expected).mean() < 3 and np.abs(shrunken - expected).max() <= 14


def test_it_is_upright_and_may_be_larger(shared_videos: Path) -> None:
    picture = next(iter_decoded_frames(str(shared_videos / "rotated_90.mov")))
    assert np.abs(downscale(picture.frame, 180, 320).astype(int) - to_rgb(picture.frame, 180, 320)).mean() < 4
    assert np.array_equal(downscale(picture.frame, 640, 1136), to_rgb(picture.frame, 640, 1136))


def test_known_colours(tmp_path: Path) -> None:
    """Against what was drawn: the matrix and the range are the right ones."""
    for colour in ((250, 10, 10), (10, 200, 30), (20, 30, 230), (255, 255, 255), (0, 0, 0)):
        pictures = [np.full((720, 1280, 3), colour, np.uint8)] * 2
        (tmp_path / "a.mp4").write_bytes(encode_mp4(iter(pictures), 8))
        frame = next(iter_decoded_frames(str(tmp_path / "a.mp4"))).frame
        assert np.abs(downscale(frame, 320, 180).astype(int) - colour).max() <= 4
