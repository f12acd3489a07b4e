"""What a video codec is: a pair of maps between frames and latents. The next one is a file like `dct.py`.

Shapes: T frames, H and W pixels; C channels; T', H', W' the latent grid.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np


class Codec(ABC):
    """A causal video codec: the first frame is a latent frame of its own, each `stride[0]` that follow are another."""

    name: ClassVar[str]
    channels: int
    stride: tuple[int, int, int]
    folders: tuple[Path, ...] = ()
    """Where its weights lie; none for a codec without."""

    @abstractmethod
    def __init__(self, path: str) -> None:
        """`path`: the folder of its weights; "" for a codec without."""

    def latent_shape(self, frames: int, height: int, width: int) -> tuple[int, int, int, int]:
        """(C, T', H', W') of a video of that many frames and pixels.

        Raises:
            ValueError: frames are not one more than a multiple of the stride, or a side is not a multiple of it.
        """
        time, rows, columns = self.stride
        if frames < 1 or (frames - 1) % time or height % rows or width % columns:
            raise ValueError(
                f"{frames}x{height}x{width}: {self.name} takes 1 + {time}k frames of sides that divide by "
                f"{rows} and {columns}"
            )
        return self.channels, 1 + (frames - 1) // time, height // rows, width // columns

    def frames(self, latent_frames: int) -> int:
        """How many video frames that many latent frames make."""
        return 1 + (latent_frames - 1) * self.stride[0]

    @abstractmethod
    def encode(self, video: np.ndarray) -> np.ndarray:
        """RGB uint8 (T, H, W, 3) -> float32 (C, T', H', W'), each channel of about zero mean and unit variance."""

    @abstractmethod
    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Float32 (C, T', H', W') -> RGB uint8 (T, H, W, 3)."""

    def decode_blocks(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The frames of one video, part by part, from its latents in blocks along T'.

        A codec that cannot go on from a block decodes all of them together at the end.
        """
        yield self.decode(np.concatenate(list(blocks), axis=1))
