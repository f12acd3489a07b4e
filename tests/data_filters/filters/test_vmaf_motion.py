"""The score `vmaf_motion` against a direct convolution and against FFmpeg."""

import itertools
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.support.drawn_clips import FPS, HEIGHT, WIDTH, moving_scene, score


def vmaf_motion_by_hand(lumas: list[np.ndarray]) -> list[float]:
    """The difference of each frame from the one before by direct convolution, in whole numbers as libvmaf counts."""
    taps = [3571, 16004, 26386, 16004, 3571]

    def blur(luma: np.ndarray) -> np.ndarray:
        padded = np.pad(luma.astype(np.int64), 2, mode="reflect")
        rows = sum(tap * padded[i : i + luma.shape[0]] for i, tap in enumerate(taps))
        return sum(tap * rows[:, i : i + luma.shape[1]] for i, tap in enumerate(taps)) / 2**32

    blurred = [blur(luma) for luma in lumas]
    return [float(np.abs(b - a).mean()) for a, b in itertools.pairwise(blurred)]


def test_vmaf_motion_is_the_difference_of_blurred_lumas() -> None:
    frames = moving_scene()
    lumas = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    expected = np.mean(vmaf_motion_by_hand(lumas)) * 219 / 255
    assert score("vmaf_motion", frames)["vmaf_motion"] == pytest.approx(expected, rel=1e-4)
    assert score("vmaf_motion", frames[:1])["vmaf_motion"] == score("vmaf_motion", frames[:1] * 9)["vmaf_motion"] == 0


@pytest.mark.skipif("vmafmotion" not in av.filter.filters_available, reason="this FFmpeg has no vmafmotion")
def test_vmaf_motion_is_ffmpegs(tmp_path: Path) -> None:
    frames = moving_scene()
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
