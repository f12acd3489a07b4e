"""HDR to standard range: the closed forms of BT.2100, and one result for scores and packed clips."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from framemill.platform.vision.read import iter_decoded_frames
from framemill.platform.vision.tone_map import KNEE, PEAK, WHITE, compressed, tone_map
from framemill.platform.vision.video import probe, read_video


def pq(nits: np.ndarray) -> np.ndarray:
    """Code, 0 to 1, of a luminance (BT.2100, table 4)."""
    y = (np.asarray(nits, float) / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375


def hlg(scene: np.ndarray) -> np.ndarray:
    """Code, 0 to 1, of light of the scene (BT.2100, table 5)."""
    scene = np.asarray(scene, float)
    return np.where(
        scene <= 1 / 12, np.sqrt(3 * scene), 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    )


def grey(code: np.ndarray) -> np.ndarray:
    """A row of grey pixels, uint16 (1, N, 3)."""
    return np.repeat(np.round(np.asarray(code) * 65535).astype(np.uint16)[None, :, None], 3, axis=2)


def test_dark_pq_is_the_standard_picture_of_equal_brightness() -> None:
    sdr = np.linspace(0.02, KNEE ** (1 / 2.4) - 0.01, 40)
    ours = tone_map(grey(pq(WHITE * sdr**2.4)), "PQ")[0]
    assert np.abs(ours - 255 * sdr[:, None]).max() <= 1
    white = tone_map(grey(pq(np.array([WHITE, 1000, 4000]))), "PQ")[0, :, 0]
    assert 215 < white[0] < 245 and white[1] == white[2] == 255


def test_hlg_white_of_three_quarters_is_the_reference_white() -> None:
    """BT.2408, table 1: 75 % HLG is 203 cd/m2 on a display of 1000 cd/m2."""
    ours = tone_map(grey(np.array([0.75])), "HLG")[0, 0].astype(int)
    assert np.abs(ours - tone_map(grey(pq(np.array([WHITE]))), "PQ")[0, 0]).max() <= 1
    scene = np.array([0.005, 0.01, 0.02])
    wanted = 255 * (1000 * scene**1.2 / WHITE) ** (1 / 2.4)
    assert np.abs(tone_map(grey(hlg(scene)), "HLG")[0, :, 0] - wanted).max() <= 1


def test_the_curve_is_the_identity_below_the_knee_smooth_and_one_at_the_peak() -> None:
    light = np.linspace(0, 2 * PEAK, 20001)
    curve = compressed(light)
    assert np.array_equal(curve[light <= KNEE], light[light <= KNEE])
    assert curve[light >= PEAK] == pytest.approx(1.0) and (np.diff(curve) >= -1e-12).all()
    slopes = np.diff(curve) / np.diff(light)
    assert slopes[np.searchsorted(light, KNEE) + 1] == pytest.approx(1, abs=5e-3), "no kink at the knee"


def test_colours_within_bt709_keep_their_hue() -> None:
    to_2020 = np.linalg.inv(
        [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]]
    )
    sdr = np.array([[0.6, 0.2, 0.1], [0.1, 0.5, 0.2], [0.2, 0.3, 0.6]])
    nits = WHITE * (sdr**2.4 @ to_2020.T)
    ours = tone_map(np.round(pq(nits) * 65535).astype(np.uint16)[None], "PQ")[0]
    assert np.abs(ours - 255 * sdr).max() <= 1


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "transfer"),
    [
        ("a.mp4", "libx265", "yuv420p10le", 16),
        ("b.mkv", "ffv1", "yuv420p10le", 18),
        ("c.mov", "prores_ks", "yuv422p10le", 16),
        ("d.mp4", "libx264", "yuv420p", 18),
        ("e.mkv", "libsvtav1", "yuv420p10le", 16),
    ],
)
def test_white_of_any_codec_is_white(tmp_path: Path, name: str, codec: str, pixels: str, transfer: int) -> None:
    path = tmp_path / name
    deep = "10" in pixels
    code = float(pq(np.array([WHITE]))[0]) if transfer == 16 else 0.75
    luma, grey_code = (round(64 + 876 * code), 512) if deep else (round(16 + 219 * code), 128)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 64, pixels
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = 9, transfer, 9, 1
        if codec == "libx265":
            stream.options = {
                "x265-params": f"log-level=none:colorprim=bt2020:transfer={'smpte2084'}:colormatrix=bt2020nc"
            }
        for index in range(5):
            frame = av.VideoFrame(128, 64, pixels)
            for i, plane in enumerate(frame.planes):
                value = luma if i == 0 else grey_code
                kind = "<u2" if deep else "u1"
                plane.update(np.full(plane.buffer_size // np.dtype(kind).itemsize, value, kind).tobytes())
            frame.pts = index
            frame.color_trc, frame.color_primaries, frame.colorspace = transfer, 9, 9
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    info = probe(str(path))
    assert info.hdr == {16: "PQ", 18: "HLG"}[transfer]
    rgb = read_video(str(path))
    assert 215 < np.median(rgb) < 245 and np.ptp(rgb) <= 6, "grey stays grey, and white is white"
    assert len(list(iter_decoded_frames(str(path)))) == 5
