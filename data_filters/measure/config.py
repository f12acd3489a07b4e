"""Keys of `framemill curate` that decide how sources are divided into clips and which are decoded."""

from __future__ import annotations

from dataclasses import dataclass

from framemill.platform.config import key
from framemill.platform.errors import RequestError


@dataclass
class ClipConfig:
    min_seconds: float = key(2.0, "clips shorter than this are filtered")
    max_seconds: float = key(
        5.1,
        "longer scenes are divided into clips no longer than this; 5.1 s hold 81 frames at 16 a second, of any source",
    )
    trim_s: float = key(0.1, "what is shown so shortly before and after a change of scene is in no clip, seconds")

    def validate(self) -> None:
        if not 0 <= self.trim_s <= 10:
            raise RequestError(f"clip.trim_s={self.trim_s}: must be from 0 to 10")
        if self.max_seconds <= 0:
            raise RequestError(f"clip.max_seconds={self.max_seconds}: must be more than 0")
        if not 0 <= self.min_seconds <= self.max_seconds:
            raise RequestError(f"clip.min_seconds={self.min_seconds}: must be from 0 to clip.max_seconds")


@dataclass
class ScreenConfig:
    enabled: bool = key(True, "a source whose key frames show that nothing in it can be kept is not decoded further")
    min_side: int = key(32, "hopeless: the shorter side has fewer pixels")
    contrast: float = key(1.0, "hopeless: luma spreads by no more than this (standard deviation, 0..255) in them all")
    change: float = key(1.0, "hopeless: no part of the picture changes by more than this (luma, 0..255) between them,")
    still_seconds: float = key(5.0, "where there are three that lie so far apart from first to last, seconds")
    key_frames: int = key(24, "key frames that are decoded at most, spread over the source")

    def validate(self) -> None:
        for name, value, lowest, highest in (
            ("min_side", self.min_side, 1, 8192),
            ("contrast", self.contrast, 0, 255),
            ("change", self.change, 0, 255),
            ("still_seconds", self.still_seconds, 0, 86400),
            ("key_frames", self.key_frames, 3, 1000),
        ):
            if not lowest <= value <= highest:
                raise RequestError(f"screen.{name}={value}: must be from {lowest} to {highest}")
