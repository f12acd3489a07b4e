"""Frame rates, pauses and clock jumps of a video, whatever its container states."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framemill.platform.vision.read import iter_decoded_frames
from framemill.platform.vision.timing import rate_of_steps, stream_timing
from framemill.platform.vision.video import probe
from tests.support.footage import moving, write


def jittered(count: int, fps: float, seed: int = 0) -> list[int]:
    """Times in ms of frames that a browser records: each a few milliseconds early or late."""
    jitter = np.random.default_rng(seed).integers(-3, 4, count)
    return sorted(int(time) for time in np.arange(count) * 1000 / fps + 3 + jitter)


@pytest.mark.parametrize(
    ("name", "codec", "fps"), [("a.webm", "libvpx", 29.6), ("b.mkv", "libx264", 24), ("c.webm", "libvpx-vp9", 14.2)]
)
def test_the_rate_of_jittered_times_is_that_of_the_frames(tmp_path: Path, name: str, codec: str, fps: float) -> None:
    path = write(tmp_path / name, moving(0, 3, fps), codec=codec, times_ms=jittered(round(3 * fps), fps), rate=1000)
    assert probe(str(path)).fps == pytest.approx(fps, rel=0.03)
    assert len(list(iter_decoded_frames(str(path)))) == round(3 * fps)


@pytest.mark.parametrize(
    "rate", [Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(60), Fraction(2)]
)
@pytest.mark.parametrize("name", ["a.mp4", "b.mkv", "c.ts", "d.mov"])
def test_a_constant_rate_is_the_containers_to_the_last_digit(tmp_path: Path, rate: Fraction, name: str) -> None:
    path = write(tmp_path / name, moving(0, 40 / float(rate), float(rate)), rate=rate)
    with av.open(str(path)) as container:
        stated = container.streams.video[0].average_rate
    assert stream_timing(str(path)).rate == stated
    assert float(stated) == pytest.approx(float(rate), rel=1e-3)


@pytest.mark.parametrize(
    ("name", "gap_ms"), [("a.mp4", 20_000), ("b.mkv", 700), ("c.mp4", 3_600_000), ("d.webm", 5_000)]
)
def test_a_pause_is_between_frames_and_leaves_the_rate(tmp_path: Path, name: str, gap_ms: int) -> None:
    times = [40 * i for i in range(50)]
    times += [times[-1] + gap_ms + 40 * i for i in range(50)]
    codec = "libvpx" if name.endswith("webm") else "libx264"
    path = write(tmp_path / name, moving(0, 4, 25), codec=codec, times_ms=times, rate=25)
    assert probe(str(path)).fps == pytest.approx(25, rel=0.01)
    frames = list(iter_decoded_frames(str(path)))
    assert [frame.index for frame in frames if not frame.continues] == [50]
    assert frames[50].time_s == pytest.approx(frames[49].time_s + gap_ms / 1000, abs=2e-3)


@pytest.mark.parametrize("frame_ms", [500, 1000, 5000])
def test_slow_regular_frames_have_no_pause(tmp_path: Path, frame_ms: int) -> None:
    times = [frame_ms * i for i in range(12)]
    path = write(tmp_path / "slow.mp4", moving(0, 1.5, 8), times_ms=times, rate=1000 / frame_ms)
    assert all(frame.continues for frame in iter_decoded_frames(str(path)))
    assert probe(str(path)).fps == pytest.approx(1000 / frame_ms, rel=0.1)


@pytest.mark.parametrize("back_ms", [2_000, 60_000, 3_600_000])
def test_a_clock_that_is_set_back_goes_on_and_is_found_again(tmp_path: Path, back_ms: int) -> None:
    path = str(tmp_path / "reset.ts")
    options = {"bf": "0", "g": "10"}
    parts = [
        write(
            tmp_path / f"{first}.ts", moving(seed, 2, 25), times_ms=[first + 40 * i for i in range(50)], options=options
        )
        for seed, first in enumerate((back_ms, 0))
    ]
    Path(path).write_bytes(b"".join(part.read_bytes() for part in parts))
    frames = list(iter_decoded_frames(path))
    times = np.array([frame.time_s for frame in frames])
    assert (np.diff(times) > 0).all()
    # FFmpeg takes a reset by more than half an hour for a wrap of the 33-bit clock: a jump forward by a day.
    assert stream_timing(path).steady == (back_ms > 1_800_000)
    assert stream_timing(path).steady or times[-1] < 4.1, "no jump is left in the times"
    assert [frame.index for frame in frames if not frame.continues] == [50]
    later = next(iter_decoded_frames(path, start_s=round(float(times[70]), 6)))
    assert np.array_equal(later.frame.to_ndarray(), frames[70].frame.to_ndarray())


@given(st.lists(st.floats(0.02, 0.05), min_size=3, max_size=40), st.integers(0, 3))
def test_the_rate_lies_between_the_rates_of_the_steps(steps: list[float], pauses: int) -> None:
    rate = float(rate_of_steps(np.array(steps + [30.0] * min(pauses, len(steps) // 3))))
    assert 1 / max(steps) - 1e-2 <= rate <= 1 / min(steps) + 1e-2


def test_what_is_stated_is_believed_where_it_agrees_or_nothing_else_is_known() -> None:
    steps = np.array([0.033, 0.034, 0.033])
    ntsc = Fraction(30000, 1001)
    assert rate_of_steps(steps, (Fraction(1000), ntsc)) == ntsc
    assert rate_of_steps(np.array([]), (ntsc,)) == ntsc and rate_of_steps(np.array([0.0])) == 25
    assert rate_of_steps(steps, (Fraction(10),)) == pytest.approx(30)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.ts", "mpeg2video", {"b": "4M"}),
        ("b.mpg", "mpeg2video", {"b": "4M", "bf": "2"}),
        ("c.vob", "mpeg2video", {"b": "4M"}),
        ("d.m2ts", "libx264", {}),
        ("e.ts", "libx265", {"x265-params": "log-level=none"}),
        ("f.h264", "libx264", {}),
        ("g.m2v", "mpeg2video", {}),
        ("h.asf", "wmv2", {}),
        ("i.dv", "dvvideo", {}),
        ("j.3g2", "mpeg4", {}),
    ],
)
def test_every_container_is_read_from_its_first_frame(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    """FFmpeg's seek to the beginning of a transport or program stream lands behind the first key frame."""
    size = (720, 576) if codec == "dvvideo" else (320, 192)
    path = str(write(tmp_path / name, moving(0, 5, 25, size), codec=codec, rate=25, options=options))
    with av.open(path) as container:
        stored = [frame.to_ndarray() for frame in container.decode(video=0)]
    frames = list(iter_decoded_frames(path))
    assert len(frames) == len(stored) == 125 and frames[0].time_s == 0
    for start in (10, 80, 110):
        part = list(iter_decoded_frames(path, start_s=frames[start].time_s))
        assert len(part) == 125 - start
        if name != "i.dv":  # deinterlaced
            assert np.array_equal(part[0].frame.to_ndarray(), stored[start])
