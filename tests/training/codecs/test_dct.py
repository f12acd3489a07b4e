"""The dct codec against scipy's DCT and OpenCV's colours, and what every codec promises."""

import cv2
import numpy as np
import pytest
from scipy.fft import dctn

from framemill.platform.errors import RequestError
from framemill.training.codecs import CODECS, get_codec
from framemill.training.codecs.dct import CHANNELS, MEAN, STD


def natural(frames: int = 9, height: int = 64, width: int = 112, seed: int = 0) -> np.ndarray:
    """A drifting texture with the 1/f spectrum of photographs, coloured, (T, H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(256), np.fft.fftfreq(256), indexing="ij"))
    amplitude = 1 / np.maximum(frequency, 1 / 256) ** 1.5
    planes = [np.fft.ifft2(amplitude * np.fft.fft2(rng.normal(size=(256, 256)))).real for _ in range(3)]
    luma, first, second = (plane / plane.std() for plane in planes)
    image = 128 + 30 * luma[..., None] + 8 * np.stack([first, -0.3 * first - 0.5 * second, second], axis=-1)
    views = [image[index : index + height, 2 * index : 2 * index + width] for index in range(frames)]
    return np.clip(np.rint(np.stack(views)), 0, 255).astype(np.uint8)


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.square(first.astype(float) - second).mean()))


@pytest.mark.parametrize("name", sorted(CODECS))
def test_every_codec_has_the_shape_it_states(name: str, tiny_networks: dict[str, str]) -> None:
    codec = get_codec(name, tiny_networks[name])
    video = natural(width=96)
    latents = codec.encode(video)
    assert latents.shape == codec.latent_shape(*video.shape[:3])
    assert latents.dtype == np.float32
    again = codec.decode(latents)
    assert again.shape == video.shape and again.dtype == np.uint8
    assert codec.video_frames(latents.shape[1]) == len(video)
    assert np.array_equal(codec.encode(video), latents)


@pytest.mark.parametrize("name", sorted(CODECS))
def test_every_codec_is_causal(name: str, tiny_networks: dict[str, str]) -> None:
    codec = get_codec(name, tiny_networks[name])
    video, other = natural(width=96), natural(width=96)
    other[1:] = natural(width=96, seed=1)[1:]
    latents = codec.encode(video)
    # A network's sums may be taken in another order where there are more of them.
    nearest = 1e-5 if codec.folders else 0
    assert np.abs(latents[:, :1] - codec.encode(other)[:, :1]).max() <= nearest
    assert np.abs(latents[:, :1] - codec.encode(video[:1])).max() <= nearest
    shown, alone = codec.decode(latents)[:1], codec.decode(latents[:, :1])
    assert np.abs(shown.astype(int) - alone).max() <= (1 if codec.folders else 0)


def test_coefficients_are_scipys() -> None:
    video = natural(frames=5)
    luma = np.stack([cv2.cvtColor(frame.astype(np.float32) / 255, cv2.COLOR_RGB2YCrCb) for frame in video]) * 255
    planes = luma[..., [0, 2, 1]] - [0, 127.5, 127.5]
    block = planes[1:5, 16:24, 40:48]  # latent frame 1, row 2, column 5
    coefficients = get_codec("dct").encode(video)[:, 1, 2, 5] * STD + MEAN
    for coefficient, (plane, frequency, *_) in zip(coefficients, CHANNELS, strict=True):
        centred = block[..., plane] - (128 if plane == 0 else 0)
        assert coefficient == pytest.approx(dctn(centred, norm="ortho")[frequency], abs=0.3)


def test_encoding_is_a_projection() -> None:
    codec = get_codec("dct")
    latents = codec.encode(natural())
    assert np.abs(codec.encode(codec.decode(latents)) - latents).max() < 0.05
    rng = np.random.default_rng(0)
    free = 0.3 * rng.normal(size=latents.shape).astype(np.float32)
    latents = codec.encode(codec.decode(free))
    assert np.abs(latents[:, 1:] - free[:, 1:]).max() < 0.15  # bytes round, and a few leave 0..255
    still = [frequency[0] == 0 for _, frequency, *_ in CHANNELS]
    assert np.abs(latents[still, 0] - free[still, 0]).max() < 0.15


def test_round_trip_keeps_the_picture() -> None:
    codec = get_codec("dct")
    video = natural()
    assert psnr(codec.decode(codec.encode(video)), video) > 30
    grey = np.full((5, 16, 16, 3), 77, np.uint8)
    assert np.array_equal(codec.decode(codec.encode(grey)), grey)


def test_latents_of_real_video_have_unit_scale(shared_videos) -> None:
    from framemill.platform.vision.video import read_video

    codec = get_codec("dct")
    kept = []
    for name in ("clip_a.mp4", "hiker.mp4", "nasa.mp4", "bikes.mp4"):
        frames = read_video(shared_videos / name, max_frames=33)
        small = np.stack([cv2.resize(frame, (112, 64), interpolation=cv2.INTER_AREA) for frame in frames])
        video = small[: 1 + (len(small) - 1) // 4 * 4]
        latents = codec.encode(video)
        assert psnr(codec.decode(latents), video) > 20
        kept.append(latents[:, 1:].reshape(16, -1))
    pooled = np.concatenate(kept, axis=1)
    assert np.abs(pooled.mean(1)).max() < 0.7
    assert pooled.std(1).min() > 0.3 and pooled.std(1).max() < 2.5


def test_refuses_what_does_not_fit() -> None:
    codec = get_codec("dct")
    for shape in ((8, 64, 64, 3), (9, 60, 64, 3), (9, 64, 60, 3), (0, 64, 64, 3)):
        with pytest.raises(ValueError, match="1 \\+ 4k frames"):
            codec.encode(np.zeros(shape, np.uint8))
    with pytest.raises(RequestError, match="codec=mp3: must be one of dct, wan, ltx2, dcae"):
        get_codec("mp3")
    with pytest.raises(RequestError, match="codec_path=x: must be empty for codec=dct"):
        get_codec("dct", "x")


@pytest.mark.parametrize("name", sorted(CODECS))
def test_blocks_decode_to_the_whole_video(name: str, tiny_networks: dict[str, str]) -> None:
    codec = get_codec(name, tiny_networks[name])
    latents = codec.encode(natural(17, width=96))
    frames = latents.shape[1]
    parts = list(codec.decode_blocks(latents[:, start:end] for start, end in ((0, 1), (1, 2), (2, frames))))
    assert np.array_equal(np.concatenate(parts), codec.decode(latents))


def test_dct_decodes_a_block_as_soon_as_it_is_there() -> None:
    codec = get_codec("dct")
    latents = codec.encode(natural(17))
    asked: list[int] = []

    def blocks():
        for start in range(0, 4, 2):
            asked.append(start)
            yield latents[:, start : start + 2]

    parts = codec.decode_blocks(blocks())
    assert len(next(parts)) == 5 and asked == [0]
