"""Reading and writing video against references made another way: OpenCV's reader, known pictures, known colours."""

import io
import os
import subprocess
import sys
import textwrap
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from framemill.platform.vision.video import VideoError, encode_mp4, iter_frames, probe, read_video, resample


def moving_pictures(count: int, height: int = 96, width: int = 128) -> np.ndarray:
    """uint8 (T, H, W, 3): a smooth random texture that moves, so that H.264 keeps it well."""
    rng = np.random.default_rng(7)
    coarse = rng.integers(60, 200, (6, 16, 3), dtype=np.uint8)
    noise = cv2.resize(coarse, (width * 2, height), interpolation=cv2.INTER_CUBIC)
    return np.stack([noise[:, shift : shift + width] for shift in range(count)])


def write(
    path: Path,
    frames: np.ndarray,
    *,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    rate: int = 16,
    pts: list[int] | None = None,
    rotation: int = 0,
    audio: bool = False,
) -> Path:
    """A file written by PyAV directly, beside our own writer."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pixel_format
        if rotation:
            stream.set_display_rotation(rotation)
        if pts:
            stream.codec_context.time_base = Fraction(1, 1000)
        for index, rgb in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            if pts:
                picture.pts, picture.time_base = pts[index], Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def error(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    frames = moving_pictures(20)
    path = tmp_path / "clip.mp4"
    path.write_bytes(encode_mp4(frames, 16, crf=12))
    info = probe(str(path))
    assert (info.codec, info.width, info.height, info.fps, info.frames) == ("h264", 128, 96, 16.0, 20)
    assert info.duration == pytest.approx(1.25) and not info.audio and not info.hdr and info.rotation == 0
    assert error(read_video(str(path)), frames) < 4
    assert [frame.time_s for frame in iter_frames(str(path))] == pytest.approx([i / 16 for i in range(20)])


def test_the_same_frames_give_the_same_bytes() -> None:
    frames = moving_pictures(20)
    data = encode_mp4(frames, Fraction(30000, 1001))
    assert data == encode_mp4(frames, Fraction(30000, 1001))
    assert data.find(b"moov") < data.find(b"mdat"), "the index comes first, so that it plays while it loads"
    assert b"Lavf" not in data


def test_bytes_do_not_depend_on_what_memory_held_before() -> None:
    """x264 once read memory that it had not written. MALLOC_PERTURB_ has glibc fill fresh memory with a pattern."""
    program = textwrap.dedent("""
        import hashlib
        import numpy as np
        from framemill.platform.vision.write import encode_mp4
        picture = np.random.default_rng(0).integers(60, 200, (120, 500, 3), dtype=np.uint8).repeat(2, axis=0)
        for width in (426, 362, 432):
            frames = [np.ascontiguousarray(picture[:, i : i + width]) for i in range(24)]
            print(hashlib.sha256(encode_mp4(frames, 16)).hexdigest())
    """)
    hashes = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "MALLOC_PERTURB_": pattern},
            check=True,
            capture_output=True,
        ).stdout
        for pattern in ("1", "77", "200")
    }
    assert len(hashes) == 1 and len(hashes.pop().split()) == 3


@pytest.mark.parametrize(("height", "matrix"), [(96, 6), (720, 1)])
def test_colours_survive_and_are_tagged(tmp_path: Path, height: int, matrix: int) -> None:
    patches = np.array([[200, 30, 30], [30, 180, 40], [40, 60, 210], [230, 220, 40], [128, 128, 128]], np.uint8)
    frame = np.repeat(patches[None], height, axis=0).repeat(16, axis=1)
    path = tmp_path / "colour.mp4"
    path.write_bytes(encode_mp4([frame] * 3, 8, crf=4))
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.colorspace == matrix
        assert container.streams.video[0].codec_context.color_range == 1
    centres = read_video(str(path))[1, height // 2, 8::16]
    assert np.abs(centres.astype(int) - patches).max() <= 6


def test_odd_sides_and_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="even"):
        encode_mp4([np.zeros((31, 32, 3), np.uint8)], 8)
    with pytest.raises(ValueError, match="at least one"):
        encode_mp4([], 8)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotated_video_is_upright_as_in_opencv(tmp_path: Path, degrees: int) -> None:
    frames = moving_pictures(4)
    path = write(tmp_path / "turned.mp4", frames, rotation=degrees)
    ours = read_video(str(path))
    ok, theirs = cv2.VideoCapture(str(path)).read()
    assert ok and ours[0].shape == theirs.shape
    assert error(ours[0], theirs[:, :, ::-1]) < 3
    assert (probe(str(path)).width, probe(str(path)).height) == (ours.shape[2], ours.shape[1])


KINDS = [("libx265", "yuv420p10le"), ("libx264", "yuv444p"), ("ffv1", "yuv420p")]


@pytest.mark.parametrize(("codec", "pixel_format"), KINDS)
def test_other_codecs_and_depths(tmp_path: Path, codec: str, pixel_format: str) -> None:
    frames = moving_pictures(6)
    path = write(tmp_path / "clip.mkv", frames, codec=codec, pixel_format=pixel_format)
    assert probe(str(path)).pixel_format == pixel_format
    assert error(read_video(str(path)), frames) < 6


def test_varying_frame_rate_keeps_its_times(tmp_path: Path) -> None:
    stamps = [0, 40, 80, 500, 540, 1000]
    path = write(tmp_path / "varying.mp4", moving_pictures(6), rate=25, pts=stamps)
    times = np.array([frame.time_s for frame in iter_frames(str(path))])
    assert times == pytest.approx(np.array(stamps) / 1000, abs=2e-3)


def test_part_of_a_file_is_the_same_frames_as_the_whole(tmp_path: Path) -> None:
    frames = moving_pictures(96)
    path = tmp_path / "long.mp4"
    path.write_bytes(encode_mp4(frames, 16))
    whole = list(iter_frames(str(path)))
    part = list(iter_frames(str(path), start_s=4.0, end_s=5.0))
    assert [f.time_s for f in part] == [f.time_s for f in whole[64:80]]
    assert all(np.array_equal(a.rgb, b.rgb) for a, b in zip(part, whole[64:80], strict=True))
    small = next(iter_frames(str(path), size=(64, 48)))
    assert small.rgb.shape == (48, 64, 3)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_file_that_breaks_off_yields_its_frames_and_says_so(tmp_path: Path, suffix: str) -> None:
    whole = tmp_path / f"whole.{suffix}"
    data = encode_mp4(moving_pictures(96), 16)
    if suffix == "mp4":
        whole.write_bytes(data)  # the index comes first, so the frames before the end can be read
    else:
        with av.open(io.BytesIO(data)) as source, av.open(str(whole), "w") as target:
            stream = target.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(source.streams.video[0]):
                if packet.dts is not None:
                    packet.stream = stream
                    target.mux(packet)
    broken = tmp_path / f"broken.{suffix}"
    broken.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    frames = []
    with pytest.raises(VideoError, match=r"breaks off|damaged"):
        for frame in iter_frames(str(broken)):
            frames.append(frame)
    reference = read_video(str(whole))
    assert 8 < len(frames) < 96
    # By time: the last frames before the break may have lost a neighbour that was to be decoded after them.
    assert all(np.array_equal(frame.rgb, reference[round(frame.time_s * 16)]) for frame in frames)


@pytest.mark.parametrize(("content", "reason"), [(b"", "not a readable"), (b"plain words " * 99, "not a readable")])
def test_what_is_no_video_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "no.mp4"
    path.write_bytes(content)
    with pytest.raises(VideoError, match=reason):
        probe(str(path))


def test_audio_alone_is_named(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 44100
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    with pytest.raises(VideoError, match="audio only"):
        probe(str(path))


def test_resampling_takes_the_nearest_frames() -> None:
    frames = np.arange(8, dtype=np.uint8)[:, None, None, None]
    times = np.arange(8) / 8
    assert resample(frames, times, 8).ravel().tolist() == list(range(8))
    assert resample(frames, times, 16).ravel().tolist() == sorted([*range(8), *range(8)])
    assert resample(frames, times, 4).ravel().tolist() == [0, 2, 4, 6]


def test_real_rotated_video(shared_videos: Path) -> None:
    path = str(shared_videos / "rotated_90.mov")
    ok, theirs = cv2.VideoCapture(path).read()
    assert ok and error(read_video(path)[0], theirs[:, :, ::-1]) < 2
    assert (probe(path).width, probe(path).height) == (320, 568)


def test_real_files_of_every_kind(shared_videos: Path) -> None:
    assert probe(str(shared_videos / "h264_10bit.mp4")).pixel_format == "yuv420p10le"
    assert probe(str(shared_videos / "h265_128px.mp4")).codec == "hevc"
    assert read_video(str(shared_videos / "short_3_frames.mov")).shape == (3, 320, 568, 3)
    assert (probe(str(shared_videos / "nasa.mp4")).width, probe(str(shared_videos / "nasa.mp4")).height) == (480, 270)
    with pytest.raises(VideoError, match=r"damaged at 3\.00 s"):
        read_video(str(shared_videos / "corrupted.mp4"))


def test_frames_are_decords(tmp_path: Path) -> None:
    """VBench reads with decord: its frames and ours differ by rounding in the colour conversion alone."""
    from decord import VideoReader, cpu

    path = tmp_path / "clip.mp4"
    path.write_bytes(encode_mp4(moving_pictures(24), 16))
    theirs = VideoReader(str(path), ctx=cpu(0), num_threads=1)[:].asnumpy()
    ours = read_video(str(path))
    assert ours.shape == theirs.shape
    assert error(ours, theirs) < 1.0
