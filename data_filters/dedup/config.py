"""Keys of `framemill curate` for near and semantic duplicates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from framemill.platform.config import key
from framemill.platform.errors import RequestError


@dataclass
class DedupConfig:
    """The thresholds of near and of semantic duplicates."""

    near: Optional[int] = key(
        26,
        "near duplicates (same footage, also rescaled, cropped, mirrored, sped up): largest median Hamming distance of "
        "two clips' frames by 128-bit perceptual hashes, bits; only the best clip is kept; null: off",
    )
    semantic: Optional[float] = key(
        None,
        "semantic duplicates (similar content): least cosine similarity of two clips' embeddings (0.95: very similar); "
        "only the best clip is kept; null: off",
    )

    def validate(self) -> None:
        """Checks the thresholds.

        Raises:
            RequestError: a threshold is out of range.
        """
        if self.near is not None and not 0 <= self.near <= 64:
            raise RequestError(f"dedup.near={self.near}: must be from 0 to 64, or null")
        if self.semantic is not None and not 0 < self.semantic <= 1:
            raise RequestError(f"dedup.semantic={self.semantic}: must be more than 0 and at most 1, or null")
