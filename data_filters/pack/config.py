"""The keys `pack.*` of `framemill curate`: how clips are cut and shards are written."""

from __future__ import annotations

from dataclasses import dataclass

from framemill.platform.config import key
from framemill.platform.errors import RequestError


@dataclass
class PackConfig:
    """The keys `pack.*`."""

    mode: str = key(
        "auto",
        "how clips are cut: exact re-encodes just the clip; copy keeps the packets, from the key frame before the "
        "clip; auto copies where that key frame is at most 0.5 s before the clip and the file plays everywhere",
        choices=("auto", "copy", "exact"),
    )
    fps: float = key(0.0, "frame rate of packed clips, frames a second; 0: the source's own rate")
    max_height: int = key(
        720, "maximum height of packed clips, pixels; taller frames are scaled down, except by pack.mode=copy"
    )
    crf: int = key(18, "quality of re-encoded clips: H.264 CRF, 0 (lossless) to 51")
    samples_per_shard: int = key(32, "number of clips per shard")

    def validate(self) -> None:
        """Checks the values.

        Raises:
            RequestError: a value is out of range.
        """
        for name, value, lowest, highest in (
            ("fps", self.fps, 0, 1000),
            ("max_height", self.max_height, 16, 8192),
            ("crf", self.crf, 0, 51),
            ("samples_per_shard", self.samples_per_shard, 1, 1_000_000),
        ):
            if not lowest <= value <= highest:
                raise RequestError(f"pack.{name}={value}: must be from {lowest} to {highest}")
        if self.mode == "copy" and self.fps:
            raise RequestError(f"pack.fps={self.fps}: must be 0 with pack.mode=copy, which keeps the rate")
