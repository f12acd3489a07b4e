"""The keys of `framemill curate`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Optional

from framemill.data_filters.captions import CAPTIONERS, WRITTEN
from framemill.data_filters.captions.config import CaptionConfig
from framemill.data_filters.filters import FILTERS
from framemill.platform.config import ClusterConfig, TrackingConfig, key
from framemill.platform.errors import RequestError


@dataclass
class ClipConfig:
    min_seconds: float = key(2.0, "clips shorter than this are filtered")
    max_seconds: float = key(10.0, "longer scenes are divided into clips no longer than this")

    def validate(self) -> None:
        if self.max_seconds <= 0:
            raise RequestError(f"clip.max_seconds={self.max_seconds}: must be more than 0")
        if not 0 <= self.min_seconds <= self.max_seconds:
            raise RequestError(f"clip.min_seconds={self.min_seconds}: must be from 0 to clip.max_seconds")


@dataclass
class Band:
    min: Optional[float] = key(None, "keep clips that score at least this")
    max: Optional[float] = key(None, "keep clips that score at most this")


@dataclass
class SelectConfig:
    bands: Dict[str, Band] = key(dict, "for each score, the values that are kept: {score: {min: ..., max: ...}}")


@dataclass
class DropConfig:
    paths: List[str] = key(list, "sources whose path fits one of these globs are left out")
    tags: List[str] = key(list, "and those with a tag that fits one of these")
    licences: List[str] = key(list, 'and those whose licence fits one of these; "" is to have none')


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


@dataclass
class CurateConfig:
    input: str = key(help="folder, glob, text file of paths, video file, or fsspec URI", result=False)
    output: str = key(help="folder or URI of the dataset", result=False)
    limit: int = key(0, "take only the first so many sources; 0: all")
    drop: DropConfig = key(DropConfig)
    clip: ClipConfig = key(ClipConfig)
    filters: List[str] = key(lambda: list(FILTERS), "what is measured", choices=tuple(FILTERS))
    select: SelectConfig = key(SelectConfig)
    captions: List[str] = key(lambda: list(WRITTEN), "captioners in order of preference", choices=CAPTIONERS)
    caption: CaptionConfig = key(CaptionConfig)
    pack: PackConfig = key(PackConfig)
    source_timeout_s: float = key(300.0, "a source may keep a decoder silent for so long, seconds", result=False)
    max_failed: float = key(1.0, "the job fails where more than this share of the sources did", result=False)
    workers: int = key(0, "processes that decode and pack; 0: one a core", result=False)
    tracking: TrackingConfig = key(TrackingConfig, result=False)
    cluster: ClusterConfig = key(ClusterConfig, result=False)

    def validate(self) -> None:
        if self.limit < 0:
            raise RequestError(f"limit={self.limit}: must be 0 (all) or more")
        if self.source_timeout_s <= 0:
            raise RequestError(f"source_timeout_s={self.source_timeout_s}: must be more than 0")
        if not 0 <= self.max_failed <= 1:
            raise RequestError(f"max_failed={self.max_failed}: must be from 0 to 1")
        if not self.captions:
            raise RequestError("captions=[]: name at least one captioner")
        self.caption.validate_for(self.captions)
        known = [column for name in self.filters for column in FILTERS[name].columns]
        for name in self.select.bands:
            if name not in known:
                raise RequestError(f"select.bands.{name}: nothing measures it; it may be {', '.join(known)}")
