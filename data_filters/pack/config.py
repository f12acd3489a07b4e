"""The keys `pack.*` of `framemill curate`: cutting clips and writing shards."""

from __future__ import annotations

from dataclasses import dataclass

from framemill.platform.config import key
from framemill.platform.errors import RequestError


@dataclass
class PackConfig:
    """The keys `pack.*`: how clips are cut and how many a shard has."""

    mode: str = key(
        "auto",
        "how clips are cut: exact re-encodes exactly the frames of the clip; copy copies packets without re-encoding, "
        "from the last key frame at or before the clip's start; auto is copy if that key frame is at most 0.5 s before "
        "the start and common players support the video's format, else exact",
        choices=("auto", "copy", "exact"),
    )
    fps: float = key(0.0, "frame rate of packed clips, frames per second; 0: the frame rate of the source")
    max_height: int = key(
        720, "maximum height of packed clips, pixels; taller frames are scaled down, except with pack.mode=copy"
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
