"""A video codec that needs no weights: 16 coefficients of a 4x8x8 block DCT, in the shape of the Wan-VAE's latents.

A block is 4 frames of 8x8 pixels in YCbCr (BT.601, full range). Of its 768 orthonormal DCT coefficients 16 are kept,
those with most energy in real video that leave rows and columns alike. The first frame is coded as if it stood still
for four. Encoding is a projection: what decoding gives encodes to the same latents, up to rounding to bytes.

Mean PSNR of a round trip (`tests/bench/codec_statistics.py`): 26.6 dB on real clips at 64x112 pixels and 28.2 at
128x224, 32.7 on rendered ones. No linear map of a block to 16 numbers gains more than 0.9 dB on it
(`tests/bench/bench_codecs.py`). It is a stand-in for a VAE, with the same shapes and none of its detail.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from framemill.platform.errors import RequestError
from framemill.training.codecs.base import Codec

FRAMES, SIDE = 4, 8
GREY = 128.0
Y, CB, CR = range(3)
TO_YCBCR = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])

# For each channel: its plane, its frequency over (time, rows, columns), and the mean and standard deviation of its
# coefficient, as measured by `tests/bench/codec_statistics.py` on equal shares of real and rendered clips and then made
# the same for rows and columns. Mirrored video is as likely, so only the planes' own levels have a mean.
CHANNELS = (
    (Y, (0, 0, 0), -100.0, 930.0),
    (CB, (0, 0, 0), -105.0, 520.0),
    (CR, (0, 0, 0), 70.0, 540.0),
    (Y, (0, 1, 0), 0.0, 111.0),
    (Y, (0, 0, 1), 0.0, 111.0),
    (Y, (0, 1, 1), 0.0, 47.0),
    (Y, (0, 2, 0), 0.0, 52.0),
    (Y, (0, 0, 2), 0.0, 52.0),
    (CB, (0, 1, 0), 0.0, 50.0),
    (CB, (0, 0, 1), 0.0, 50.0),
    (CR, (0, 1, 0), 0.0, 43.0),
    (CR, (0, 0, 1), 0.0, 43.0),
    (Y, (1, 0, 0), 0.0, 92.0),
    (Y, (2, 0, 0), 0.0, 47.0),
    (Y, (1, 1, 0), 0.0, 35.0),
    (Y, (1, 0, 1), 0.0, 35.0),
)
MEAN = np.array([mean for _, _, mean, _ in CHANNELS])
STD = np.array([std for _, _, _, std in CHANNELS])
FINE, COARSE = 2.0**24, 2.0**10
"""Matrices are whole multiples of 1/FINE, coefficients of 1/COARSE when they are decoded. Pixels are whole numbers, so
products and sums of them are exact in float64, and alike in any order: on any processor, of any share of a video."""


def cosine(size: int, frequency: int) -> np.ndarray:
    """The orthonormal DCT-II basis vector of a frequency."""
    wave = np.cos(np.pi * frequency * (np.arange(size) + 0.5) / size)
    return wave * np.sqrt((1 if frequency == 0 else 2) / size)


def block_matrix(colours: np.ndarray) -> np.ndarray:
    """(16, 4*8*8*3): one row a channel, its cosine block in the colour that `colours` (3 planes, RGB) gives its plane.

    A row is laid out as a block lies in a video: frame, row, column, RGB.
    """
    rows = [
        np.einsum("t,h,w,c->thwc", cosine(FRAMES, time), cosine(SIDE, row), cosine(SIDE, column), colours[plane])
        for plane, (time, row, column), _, _ in CHANNELS
    ]
    return np.rint(np.stack(rows).reshape(len(CHANNELS), -1) * FINE) / FINE


ANALYSIS = block_matrix(TO_YCBCR)
SYNTHESIS = block_matrix(np.linalg.inv(TO_YCBCR).T)


class DctCodec(Codec):
    name = "dct"
    channels = len(CHANNELS)
    stride = (FRAMES, SIDE, SIDE)

    def __init__(self, path: str = "") -> None:
        if path:
            raise RequestError(f"codec_path={path}: dct has no weights")

    def encode(self, video: np.ndarray) -> np.ndarray:
        _, time, rows, columns = self.latent_shape(*video.shape[:3])
        video = np.concatenate([np.repeat(video[:1], FRAMES - 1, axis=0), video])
        blocks = video.reshape(time, FRAMES, rows, SIDE, columns, SIDE, 3).transpose(0, 2, 4, 1, 3, 5, 6)
        pixels = blocks.reshape(-1, ANALYSIS.shape[1]).astype(np.float64) - GREY
        latents = ((pixels @ ANALYSIS.T - MEAN) / STD).astype(np.float32)
        return np.ascontiguousarray(latents.reshape(time, rows, columns, -1).transpose(3, 0, 1, 2))

    def decode(self, latents: np.ndarray) -> np.ndarray:
        _, time, rows, columns = latents.shape
        coefficients = np.rint((latents.transpose(1, 2, 3, 0) * STD + MEAN) * COARSE) / COARSE
        # The first frame stands still: whatever a model made of its motion is not part of the video.
        coefficients[0, ..., [frequency[0] > 0 for _, frequency, _, _ in CHANNELS]] = 0
        pixels = coefficients.reshape(-1, self.channels) @ SYNTHESIS + GREY
        blocks = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
        blocks = blocks.reshape(time, rows, columns, FRAMES, SIDE, SIDE, 3).transpose(0, 3, 1, 4, 2, 5, 6)
        video = blocks.reshape(time * FRAMES, rows * SIDE, columns * SIDE, 3)
        return np.ascontiguousarray(video[FRAMES - 1 :])

    def decode_blocks(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for number, block in enumerate(blocks):
            # Latent frames stand alone, but the first of a video is one frame: a later block is given one to lose.
            yield self.decode(np.concatenate((block[:, :1], block), axis=1))[1:] if number else self.decode(block)
