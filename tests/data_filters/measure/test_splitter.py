"""Clips begin and end where scenes do, and lose no frame but those of a change."""

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framemill.data_filters.measure.config import ClipConfig
from framemill.data_filters.measure.splitter import SLACK_S, Splitter
from framemill.data_filters.measure.transitions import LOOK_AHEAD_S, LOOK_BACK_S, TransitionFinder
from framemill.platform.vision.read import Frame, iter_frames
from framemill.platform.vision.reel import Scene, render_scene


def clips_of(splitter: Splitter, frames: list[Frame]) -> list:
    clips = [clip for frame in frames for clip in splitter.push(frame)]
    return [*clips, *splitter.finish()]


def one_scene(seconds: float, fps: float) -> list[Frame]:
    """A scene without cuts."""
    picture = np.random.default_rng(0).integers(0, 255, (18, 32, 3), dtype=np.uint8)
    return [Frame(i, i / fps, picture) for i in range(round(seconds * fps))]


def test_known_cuts_are_found() -> None:
    scenes = [
        Scene("red", "grey"),
        Scene("blue", "red"),
        Scene("blue", "yellow", pace="quickly"),
        Scene("grey", "blue"),
    ]
    pictures = itertools.chain.from_iterable(render_scene(scene, i, 2.0) for i, scene in enumerate(scenes))
    frames = [Frame(i, i / 16, rgb) for i, rgb in enumerate(pictures)]
    clips = clips_of(Splitter(16, 320, 180, 1.0, 10.0), frames)
    assert [clip.first_frame for clip in clips] == [0, 32, 64, 96]
    assert [clip.end_s for clip in clips] == pytest.approx([2, 4, 6, 8])


@pytest.mark.parametrize(
    ("seconds", "lengths"),
    [(3, [3]), (10, [10]), (11, [5.5, 5.5]), (12.5, [10, 2.5]), (25, [10, 7.5, 7.5]), (31, [10, 10, 5.5, 5.5])],
)
def test_long_scenes_are_divided_with_nothing_too_short_left_over(seconds: float, lengths: list[float]) -> None:
    clips = clips_of(Splitter(8, 32, 18, 2.0, 10.0), one_scene(seconds, 8))
    seconds_per_clip = [clip.seconds for clip in clips]
    assert sum(seconds_per_clip) == pytest.approx(seconds)
    assert max(seconds_per_clip) <= 10 and min(seconds_per_clip) >= 2
    assert len(seconds_per_clip) == len(lengths)


def test_fixed_lengths_where_the_minimum_allows_no_halves() -> None:
    clips = clips_of(Splitter(8, 32, 18, 5.0, 5.0), one_scene(12, 8))
    assert [clip.seconds for clip in clips] == pytest.approx([5, 5, 2])


@pytest.mark.parametrize("fps", [2, 24, 30000 / 1001])
def test_no_frame_is_lost_or_given_twice(fps: float) -> None:
    frames = one_scene(23, fps)
    clips = clips_of(Splitter(fps, 32, 18, 0.0, 4.0), frames)
    assert [t for clip in clips for t in clip.times] == [frame.time_s for frame in frames]
    assert [clip.first_frame for clip in clips] == list(itertools.accumulate([0] + [len(c.frames) for c in clips[:-1]]))


def test_few_frames_are_kept_of_a_long_scene() -> None:
    splitter = Splitter(8, 32, 18, 2.0, 10.0)
    kept = []
    for frame in one_scene(120, 8):
        list(splitter.push(frame))
        kept.append(len(splitter.buffer))
    assert max(kept) <= (10 + 2 + LOOK_BACK_S + LOOK_AHEAD_S) * 8 + 3


def test_cuts_of_real_clips(shared_videos: Path) -> None:
    frames = list(iter_frames(str(shared_videos / "bikes.mp4"), size=(320, 136)))
    clips = clips_of(Splitter(25, 640, 272, 2.0, 10.0), frames)
    assert [clip.first_frame for clip in clips] == [0, 30, 76, 137, 187, 242]


def scene_of(seed: int, count: int, speed: int = 1) -> np.ndarray:
    """A picture that slides by: float32 (count, 90, 160, 3)."""
    random = np.random.default_rng(seed)
    canvas = np.full((90, 160 + count * speed, 3), random.uniform(60, 190, 3), np.float32)
    for cells in (4, 12, 40):
        canvas += cv2.resize(random.normal(0, 22, (cells, cells, 3)).astype(np.float32), canvas.shape[1::-1])
    return np.stack([canvas[:, i * speed : i * speed + 160] for i in range(count)])


def stamped(pictures: np.ndarray, fps: float = 24) -> list[Frame]:
    return [Frame(i, i / fps, rgb) for i, rgb in enumerate(np.clip(pictures, 0, 255).astype(np.uint8))]


def spans(pictures: np.ndarray, trim_s: float = 0.1) -> list[tuple[int, int]]:
    """First frame and the one after the last of each clip."""
    clips = clips_of(Splitter(24, 160, 90, 0.0, 100.0, trim_s), stamped(pictures))
    return [(clip.first_frame, clip.first_frame + len(clip.frames)) for clip in clips]


@pytest.mark.parametrize("speed", [0, 1, 6])
def test_a_hard_cut_costs_the_frames_around_it(speed: int) -> None:
    both = np.concatenate([scene_of(1, 60, speed), scene_of(2, 60, speed)])
    assert spans(both) == [(0, 57), (63, 120)]
    assert spans(both, trim_s=0.0) == [(0, 60), (60, 120)]


@pytest.mark.parametrize("blank", [0, 255])
def test_a_fade_belongs_to_no_clip(blank: int) -> None:
    """40 frames: 16 down, 8 blank, 16 up."""
    left = np.concatenate([np.linspace(1, 0, 16), np.zeros(8), np.linspace(0, 1, 16)])[:, None, None, None]
    shown = np.concatenate([scene_of(1, 76), scene_of(2, 64)])
    shown[60:100] = blank + left * (shown[60:100] - blank)
    (first, end), (again, last) = spans(shown)
    assert (first, last) == (0, 140) and 53 <= end <= 60 and 100 <= again <= 107


def test_a_dissolve_belongs_to_no_clip() -> None:
    before, after = scene_of(1, 80, 0), scene_of(2, 80, 0)
    done = np.linspace(0, 1, 20)[:, None, None, None]
    shown = np.concatenate([before[:60], before[60:] + done * (after[:20] - before[60:]), after[20:]])
    (first, end), (again, last) = spans(shown)
    assert (first, last) == (0, 140) and 52 <= end <= 61 and 79 <= again <= 88


@pytest.mark.parametrize("length", [1, 2, 5])
@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_a_flash_cuts_nothing(length: int, strength: float) -> None:
    shown = scene_of(1, 120)
    shown[60 : 60 + length] += strength * (255 - shown[60 : 60 + length])
    assert spans(shown) == [(0, 120)]


def test_a_fast_pan_cuts_nothing() -> None:
    assert spans(scene_of(3, 120, speed=12)) == [(0, 120)]


@pytest.mark.parametrize("fps", [10, 12, 12.5, 15, 16, 20, 24000 / 1001, 24, 25, 30000 / 1001, 30, 50, 60, 120])
def test_the_longest_clip_gives_the_81_frames_that_training_asks_for(fps: float) -> None:
    config = ClipConfig()
    clip = clips_of(Splitter(fps, 32, 18, config.min_seconds, config.max_seconds), one_scene(8, fps))[0]
    assert clip.seconds <= config.max_seconds + 1e-3 and round(clip.seconds * 16) >= 81


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 90)), min_size=1, max_size=6),
    st.sampled_from([8, 24, 30000 / 1001]),
    st.floats(0, 2),
    st.floats(0.5, 6),
    st.floats(0, 0.5),
)
def test_clips_are_in_order_and_miss_no_more_than_was_trimmed(
    scenes: list[tuple[int, int]], fps: float, least: float, longest: float, trim_s: float
) -> None:
    """Whatever is shown: noise, black and white pictures of any length one after another."""
    noise = np.random.default_rng(0).integers(0, 255, (4, 18, 32, 3), dtype=np.uint8)
    looks = [*noise, np.zeros_like(noise[0]), np.full_like(noise[0], 255)]
    pictures = [looks[look] for look, count in scenes for _ in range(count)]
    frames = [Frame(i, i / fps, rgb) for i, rgb in enumerate(pictures)]
    finder = TransitionFinder(fps)
    changes = [change for frame in frames for change in finder.push(frame.rgb)]
    changes = [change for change in [*changes, *finder.finish()] if change.end]
    clips = clips_of(Splitter(fps, 32, 18, min(least, longest), longest, trim_s), frames)
    given_away = [round(float(time) * fps) for clip in clips for time in clip.times]
    trimmed = {
        i
        for i in range(len(frames))
        for change in changes
        if (i + 1) / fps > change.first / fps - trim_s + SLACK_S and i / fps < change.end / fps + trim_s - SLACK_S
    }
    assert given_away == [i for i in range(len(frames)) if i not in trimmed]
    assert all(clip.seconds <= longest + 1 / fps * (len(clip.frames) == 1) + 2e-3 for clip in clips)
    assert all(clip.end_s == pytest.approx(clip.times[-1] + 1 / fps) for clip in clips)
