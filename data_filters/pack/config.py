"""Keys of `framemill curate` for cutting clips and writing shards."""

from __future__ import annotations

from dataclasses import dataclass

from framemill.platform.config import key
from framemill.platform.errors import RequestError


@dataclass
class PackConfig:
    mode: str = key(
        "auto",
        "how a clip is cut out: exact re-encodes just the clip; copy keeps its packets, from the key frame before it; "
        "auto copies where that lies within 0.5 s and the file plays anywhere",
        choices=("auto", "copy", "exact"),
    )
    fps: float = key(0.0, "frames a second of the packed clips; 0: each source's own rate")
    max_height: int = key(720, "taller pictures are scaled down to this height, pixels (not by pack.mode=copy)")
    crf: int = key(18, "H.264 quality, 0 (lossless) to 51")
    samples_per_shard: int = key(32, "clips in one shard")

    def validate(self) -> None:
        for name, value, lowest, highest in (
            ("fps", self.fps, 0, 1000),
            ("max_height", self.max_height, 16, 8192),
            ("crf", self.crf, 0, 51),
            ("samples_per_shard", self.samples_per_shard, 1, 1_000_000),
        ):
            if not lowest <= value <= highest:
                raise RequestError(f"pack.{name}={value}: must be from {lowest} to {highest}")
        if self.mode == "copy" and self.fps:
            raise RequestError(f"pack.fps={self.fps}: pack.mode=copy keeps the rate; it may be 0, or pack.mode auto")
