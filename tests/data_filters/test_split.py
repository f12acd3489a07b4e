"""Clips begin and end where scenes do, and lose no frame."""

import itertools

import numpy as np
import pytest

from framemill.data_filters.split import Splitter
from framemill.platform.vision.read import Frame, iter_frames
from framemill.platform.vision.reel import Scene, draw


def clips_of(splitter: Splitter, frames: list[Frame]) -> list:
    clips = [clip for frame in frames for clip in splitter.push(frame)]
    return [*clips, *splitter.finish()]


def one_scene(seconds: float, fps: float) -> list[Frame]:
    """A scene without cuts."""
    picture = np.random.default_rng(0).integers(0, 255, (18, 32, 3), dtype=np.uint8)
    return [Frame(i, i / fps, picture) for i in range(round(seconds * fps))]


def test_known_cuts_are_found():
    scenes = [
        Scene("red", "grey"),
        Scene("blue", "red"),
        Scene("blue", "yellow", pace="quickly"),
        Scene("grey", "blue"),
    ]
    pictures = itertools.chain.from_iterable(draw(scene, i, 2.0) for i, scene in enumerate(scenes))
    frames = [Frame(i, i / 16, rgb) for i, rgb in enumerate(pictures)]
    clips = clips_of(Splitter(16, 320, 180, 1.0, 10.0), frames)
    assert [clip.first_frame for clip in clips] == [0, 32, 64, 96]
    assert [clip.end_s for clip in clips] == pytest.approx([2, 4, 6, 8])


@pytest.mark.parametrize(
    ("seconds", "lengths"),
    [(3, [3]), (10, [10]), (11, [5.5, 5.5]), (12.5, [10, 2.5]), (25, [10, 7.5, 7.5]), (31, [10, 10, 5.5, 5.5])],
)
def test_long_scenes_are_divided_with_nothing_too_short_left_over(seconds, lengths):
    clips = clips_of(Splitter(8, 32, 18, 2.0, 10.0), one_scene(seconds, 8))
    found = [clip.seconds for clip in clips]
    assert sum(found) == pytest.approx(seconds)
    assert max(found) <= 10 and min(found) >= 2
    assert len(found) == len(lengths)


def test_fixed_lengths_where_the_minimum_allows_no_halves():
    clips = clips_of(Splitter(8, 32, 18, 5.0, 5.0), one_scene(12, 8))
    assert [clip.seconds for clip in clips] == pytest.approx([5, 5, 2])


@pytest.mark.parametrize("fps", [2, 24, 30000 / 1001])
def test_no_frame_is_lost_or_given_twice(fps):
    frames = one_scene(23, fps)
    clips = clips_of(Splitter(fps, 32, 18, 0.0, 4.0), frames)
    assert [t for clip in clips for t in clip.times] == [frame.time_s for frame in frames]
    assert [clip.first_frame for clip in clips] == list(itertools.accumulate([0] + [len(c.frames) for c in clips[:-1]]))


def test_little_is_held_of_a_long_scene():
    splitter = Splitter(8, 32, 18, 2.0, 10.0)
    held = []
    for frame in one_scene(120, 8):
        list(splitter.push(frame))
        held.append(len(splitter.held))
    assert max(held) <= (10 + 2) * 8 + 3


def test_cuts_of_real_clips(shared_videos):
    frames = list(iter_frames(str(shared_videos / "bikes.mp4"), size=(320, 136)))
    clips = clips_of(Splitter(25, 640, 272, 2.0, 10.0), frames)
    assert [clip.first_frame for clip in clips] == [0, 30, 76, 137, 187, 242]
