"""The keys `clip.*` and `screen.*` of `framemill curate`: splitting sources into clips, key-frame pre-filter."""

from __future__ import annotations

from dataclasses import dataclass

from framemill.platform.config import key
from framemill.platform.errors import RequestError


@dataclass
class ClipConfig:
    """The keys `clip.*`: how a source is split into clips."""

    min_seconds: float = key(2.0, "minimum clip length, seconds; shorter clips are filtered")
    max_seconds: float = key(
        5.1,
        "maximum clip length, seconds; longer scenes are divided; 5.1 s has 81 frames at 16 frames per second "
        "for any source frame rate",
    )
    trim_s: float = key(
        0.1, "time excluded before and after each scene change, seconds, so that no clip shows a part of the transition"
    )

    def validate(self) -> None:
        """Checks the values.

        Raises:
            RequestError: a value is out of range.
        """
        if not 0 <= self.trim_s <= 10:
            raise RequestError(f"clip.trim_s={self.trim_s}: must be from 0 to 10")
        if self.max_seconds <= 0:
            raise RequestError(f"clip.max_seconds={self.max_seconds}: must be more than 0")
        if not 0 <= self.min_seconds <= self.max_seconds:
            raise RequestError(f"clip.min_seconds={self.min_seconds}: must be from 0 to clip.max_seconds")


@dataclass
class PrefilterConfig:
    """The keys `screen.*`: the key-frame pre-filter, which rejects sources before the decode pass."""

    enabled: bool = key(True, "reject tiny, blank and still sources from their key frames alone, without a decode pass")
    min_side: int = key(32, "reject tiny sources: minimum length of the shorter side, pixels")
    contrast: float = key(
        1.0,
        "maximum contrast of a blank key frame (standard deviation of luma, 0..255); a source whose key frames are all "
        "blank is rejected",
    )
    change: float = key(
        1.0, "reject stills: largest luma change (0..255) between key frames that still counts as no change"
    )
    still_seconds: float = key(5.0, "reject stills only if 3 or more key frames span at least this many seconds")
    key_frames: int = key(24, "maximum number of key frames decoded per source, spread evenly over the source")

    def validate(self) -> None:
        """Checks the values.

        Raises:
            RequestError: a value is out of range.
        """
        for name, value, lowest, highest in (
            ("min_side", self.min_side, 1, 8192),
            ("contrast", self.contrast, 0, 255),
            ("change", self.change, 0, 255),
            ("still_seconds", self.still_seconds, 0, 86400),
            ("key_frames", self.key_frames, 3, 1000),
        ):
            if not lowest <= value <= highest:
                raise RequestError(f"screen.{name}={value}: must be from {lowest} to {highest}")
