"""Keys of `framemill curate` for near and semantic duplicates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from framemill.platform.config import key
from framemill.platform.errors import RequestError


@dataclass
class DedupConfig:
    near: Optional[int] = key(
        26,
        "of clips that show the same footage (also rescaled, cropped, mirrored, sped up) the best is kept: where half "
        "of the frames differ in at most so many of the 128 bits of their perceptual hashes; null: not compared",
    )
    semantic: Optional[float] = key(
        None, "and of those whose embeddings have at least this cosine; 0.95 is mild; null: not compared"
    )

    def validate(self) -> None:
        if self.near is not None and not 0 <= self.near <= 64:
            raise RequestError(f"dedup.near={self.near}: must be from 0 to 64, or null")
        if self.semantic is not None and not 0 < self.semantic <= 1:
            raise RequestError(f"dedup.semantic={self.semantic}: must be above 0 and at most 1, or null")
