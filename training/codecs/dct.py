"""A video codec that needs no weights: 16 coefficients of a 4x8x8 block DCT, in the shape of the Wan-VAE's latents.

A block is 4 frames of 8x8 pixels in YCbCr (BT.601, full range). Of its 768 orthonormal DCT coefficients 16 are kept:
those with most energy in real video, chosen symmetrically in rows and columns. The first frame is encoded as a block of
four equal frames. Encoding is a projection: decoded frames encode to the same latents, up to rounding to bytes.

Mean PSNR of a round trip (`tests/bench/codec_statistics.py`): 26.6 dB on real clips at 64x112 pixels, 28.2 dB at
128x224, 32.7 dB on rendered clips. No linear map of a block to 16 numbers is more than 0.9 dB better
(`tests/bench/bench_codecs.py`). The codec stands in for a VAE: same shapes, far less detail.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from framemill.platform.errors import RequestError
from framemill.training.codecs.base import Codec

_FRAMES, _SIDE = 4, 8
"""Frames and sides of a block."""
_GREY = 128.0
"""Subtracted from pixels before the transform."""
_Y, _CB, _CR = range(3)
_TO_YCBCR = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
"""BT.601: rows Y, Cb and Cr over columns R, G and B."""
CHANNELS = (
    (_Y, (0, 0, 0), -100.0, 930.0),
    (_CB, (0, 0, 0), -105.0, 520.0),
    (_CR, (0, 0, 0), 70.0, 540.0),
    (_Y, (0, 1, 0), 0.0, 111.0),
    (_Y, (0, 0, 1), 0.0, 111.0),
    (_Y, (0, 1, 1), 0.0, 47.0),
    (_Y, (0, 2, 0), 0.0, 52.0),
    (_Y, (0, 0, 2), 0.0, 52.0),
    (_CB, (0, 1, 0), 0.0, 50.0),
    (_CB, (0, 0, 1), 0.0, 50.0),
    (_CR, (0, 1, 0), 0.0, 43.0),
    (_CR, (0, 0, 1), 0.0, 43.0),
    (_Y, (1, 0, 0), 0.0, 92.0),
    (_Y, (2, 0, 0), 0.0, 47.0),
    (_Y, (1, 1, 0), 0.0, 35.0),
    (_Y, (1, 0, 1), 0.0, 35.0),
)
"""For each channel: colour plane, frequency over (time, rows, columns), mean and standard deviation of the coefficient.

`tests/bench/codec_statistics.py` measured the statistics on equal shares of real and rendered clips; values for rows
and columns were then made equal. Only coefficients of frequency (0, 0, 0) have a mean other than 0, since a video and
its mirror image are equally likely."""
MEAN = np.array([mean for _, _, mean, _ in CHANNELS])
"""Mean of each channel's coefficient."""
STD = np.array([std for _, _, _, std in CHANNELS])
"""Standard deviation of each channel's coefficient."""
_MATRIX_SCALE, _COEFFICIENT_SCALE = 2.0**24, 2.0**10
"""Matrix entries are rounded to multiples of 1/_MATRIX_SCALE, coefficients to 1/_COEFFICIENT_SCALE before decoding.
Pixels are whole numbers, so that products and sums are exact in float64, in any order: results are bit-identical on any
processor and for any part of a video."""


def _cosine(size: int, frequency: int) -> np.ndarray:
    """Returns the orthonormal DCT-II basis vector of a frequency, (size,)."""
    wave = np.cos(np.pi * frequency * (np.arange(size) + 0.5) / size)
    return wave * np.sqrt((1 if frequency == 0 else 2) / size)


def _block_matrix(colours: np.ndarray) -> np.ndarray:
    """Returns (16, 4*8*8*3): for each channel, the DCT basis block times the RGB weights of the colour plane.

    Args:
        colours: (3, 3): RGB weights of the planes Y, Cb and Cr. A row of the result is in the order frame, row, column,
            RGB, as a block of a video.
    """
    rows = [
        np.einsum("t,h,w,c->thwc", _cosine(_FRAMES, time), _cosine(_SIDE, row), _cosine(_SIDE, column), colours[plane])
        for plane, (time, row, column), _, _ in CHANNELS
    ]
    return np.rint(np.stack(rows).reshape(len(CHANNELS), -1) * _MATRIX_SCALE) / _MATRIX_SCALE


_ANALYSIS = _block_matrix(_TO_YCBCR)
_SYNTHESIS = _block_matrix(np.linalg.inv(_TO_YCBCR).T)


class DctCodec(Codec):
    """The block DCT codec."""

    name = "dct"
    channels = len(CHANNELS)
    stride = (_FRAMES, _SIDE, _SIDE)

    def __init__(self, path: str = "") -> None:
        """Makes the codec.

        Args:
            path: must be "", since the codec has no weights.

        Raises:
            RequestError: a path was given.
        """
        if path:
            raise RequestError(f"codec_path={path}: must be empty for codec=dct, which has no weights")

    def encode(self, video: np.ndarray) -> np.ndarray:
        """Returns float32 latents (16, T', H', W') of RGB uint8 frames (T, H, W, 3)."""
        _, time, rows, columns = self.latent_shape(*video.shape[:3])
        video = np.concatenate([np.repeat(video[:1], _FRAMES - 1, axis=0), video])
        blocks = video.reshape(time, _FRAMES, rows, _SIDE, columns, _SIDE, 3).transpose(0, 2, 4, 1, 3, 5, 6)
        pixels = blocks.reshape(-1, _ANALYSIS.shape[1]).astype(np.float64) - _GREY
        latents = ((pixels @ _ANALYSIS.T - MEAN) / STD).astype(np.float32)
        return np.ascontiguousarray(latents.reshape(time, rows, columns, -1).transpose(3, 0, 1, 2))

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Returns RGB uint8 frames (T, H, W, 3) of float32 latents (16, T', H', W')."""
        _, time, rows, columns = latents.shape
        coefficients = np.rint((latents.transpose(1, 2, 3, 0) * STD + MEAN) * _COEFFICIENT_SCALE) / _COEFFICIENT_SCALE
        # The first latent frame is one still frame: motion that a model generated in this frame is ignored.
        coefficients[0, ..., [frequency[0] > 0 for _, frequency, _, _ in CHANNELS]] = 0
        pixels = coefficients.reshape(-1, self.channels) @ _SYNTHESIS + _GREY
        blocks = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
        blocks = blocks.reshape(time, rows, columns, _FRAMES, _SIDE, _SIDE, 3).transpose(0, 3, 1, 4, 2, 5, 6)
        video = blocks.reshape(time * _FRAMES, rows * _SIDE, columns * _SIDE, 3)
        return np.ascontiguousarray(video[_FRAMES - 1 :])

    def decode_blocks(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yields the frames of each block of latents."""
        for number, block in enumerate(blocks):
            # Latent frames are independent, but `decode` makes one frame of the first: a later block is decoded after
            # a copy of its first latent frame, whose decoded frame is removed.
            yield self.decode(np.concatenate((block[:, :1], block), axis=1))[1:] if number else self.decode(block)
