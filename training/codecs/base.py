"""The interface of a video codec: a pair of maps between frames and latents. To add a codec, copy `dct.py`.

Shapes: T frames, H and W pixels; C channels; T', H', W' the latent grid.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np


class Codec(ABC):
    """A causal video codec: one latent frame for the first frame, and one for every `stride[0]` frames after it."""

    name: ClassVar[str]
    """Name in the registry."""
    channels: int
    """Channels of a latent."""
    stride: tuple[int, int, int]
    """Frames, rows and columns of pixels per latent frame, row and column."""
    folders: tuple[Path, ...] = ()
    """Folders of the codec's weights; empty for a codec without weights."""

    @abstractmethod
    def __init__(self, path: str) -> None:
        """Makes the codec.

        Args:
            path: folder of the codec's weights; "" for a codec without weights.
        """

    def latent_shape(self, frames: int, height: int, width: int) -> tuple[int, int, int, int]:
        """Returns the shape (C, T', H', W') of the latents of a video.

        Args:
            frames: T.
            height: H.
            width: W.

        Raises:
            ValueError: T is not 1 plus a multiple of the temporal stride, or H or W no multiple of the spatial stride.
        """
        time, rows, columns = self.stride
        if frames < 1 or (frames - 1) % time or height % rows or width % columns:
            raise ValueError(
                f"{frames}x{height}x{width}: {self.name} needs 1 + {time}k frames, a height that divides by {rows} and "
                f"a width that divides by {columns}"
            )
        return self.channels, 1 + (frames - 1) // time, height // rows, width // columns

    def video_frames(self, latent_frames: int) -> int:
        """Returns the number of video frames that `latent_frames` latent frames decode to."""
        return 1 + (latent_frames - 1) * self.stride[0]

    @abstractmethod
    def encode(self, video: np.ndarray) -> np.ndarray:
        """Returns float32 latents (C, T', H', W') of RGB uint8 frames (T, H, W, 3).

        Each channel has about zero mean and unit variance over natural video.
        """

    @abstractmethod
    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Returns RGB uint8 frames (T, H, W, 3) of float32 latents (C, T', H', W')."""

    def decode_blocks(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yields the frames of one video in parts, from consecutive blocks of its latents along T'.

        By default all blocks are decoded together at the end. A codec that can continue from one block to the next
        overrides this.
        """
        yield self.decode(np.concatenate(list(blocks), axis=1))
