"""The keys of `framemill curate`."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Dict, List, Optional

from framemill.data_filters.captions import CAPTIONERS, WRITTEN
from framemill.data_filters.captions.config import CaptionConfig
from framemill.data_filters.filters import FILTERS
from framemill.data_filters.models import advice_on, scores_of, vectors_of
from framemill.data_filters.models.config import (
    AestheticConfig,
    ClassifierConfig,
    DoverConfig,
    TextOverlayConfig,
    check_sha256,
)
from framemill.platform.config import ClusterConfig, TrackingConfig, key
from framemill.platform.errors import RequestError

FACTS = ("width", "height", "fps")
"""What a clip is, which may have bands like a score."""
CLIP_COLUMNS = (
    *("key", "source_id", "path", "start_s", "end_s", "first_frame", "frames", "description", "phashes", *FACTS),
    *("sidecar_caption", "joined_caption", "state", "reason", "caption", "captions", "provenance", "unscored"),
    *("thumbnail", "embedding"),
    *("bucket", "aspect_ratio", "seconds", "duration", "in_s", "out_s", "shard", "members"),
)
"""What columns of the tables are called that are no scores."""


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
class Band:
    min: Optional[float] = key(None, "keep clips that score at least this")
    max: Optional[float] = key(None, "keep clips that score at most this")
    min_quantile: Optional[float] = key(None, "keep clips from this quantile on: 0.2 drops the lowest 20 %")
    max_quantile: Optional[float] = key(None, "keep clips up to this quantile: 0.95 drops the highest 5 %")

    def validate(self) -> None:
        for name, value in (("min_quantile", self.min_quantile), ("max_quantile", self.max_quantile)):
            if value is not None and not 0 <= value <= 1:
                raise RequestError(f"{name}={value}: must be from 0 to 1, in a band of select")


@dataclass
class SourceSet:
    paths: List[str] = key(list, "the sources whose path fits one of these globs,")
    tags: List[str] = key(list, "and those with a tag that fits one of these")
    bands: Dict[str, Band] = key(dict, "their bands; a score without one here keeps that of select.bands")


@dataclass
class BestConfig:
    clips: int = key(0, "keep only so many clips; 0: all that pass the bands")
    by: str = key("technical", "the score by which clips are best, the highest first")
    edges: Dict[str, List[float]] = key(
        dict, "scores by whose values clips are divided into classes, as many of each as can be: {score: [edge, ...]}"
    )
    tags: Dict[str, List[str]] = key(
        dict, "and tags: a clip's class is the first of them that its source has: {name: [tag, ...]}"
    )


@dataclass
class SelectConfig:
    bands: Dict[str, Band] = key(dict, "for each score, the values that are kept: {score: {min: ..., max: ...}}")
    sets: Dict[str, SourceSet] = key(
        dict, "sets of sources with bands of their own; where two take a source, the first by name has its way"
    )
    best: BestConfig = key(BestConfig)


@dataclass
class JoinConfig:
    scores: str = key("", "Parquet or CSV file of scores by clip key (`key`) or source (`path`)", result=False)
    sha256: str = key("", "of that file, 64 hex digits; another file is refused")
    columns: List[str] = key(list, "its columns that become scores")
    caption: str = key("", "its column of texts that become captions, those of captioner `joined`")

    def validate(self) -> None:
        if bool(self.scores) != bool(self.columns or self.caption):
            raise RequestError(f"join.columns={self.columns}: name columns of the file join.scores, and the file")
        if not self.scores and self.sha256:
            raise RequestError(f"join.sha256={self.sha256}: is of join.scores, which names no file")
        for column in self.columns:
            if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", column):
                raise RequestError(f"join.columns={column}: a score's name is made of letters, digits and _")


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


@dataclass
class DropConfig:
    paths: List[str] = key(list, "sources whose path fits one of these globs are left out")
    tags: List[str] = key(list, "and those with a tag that fits one of these")
    licences: List[str] = key(list, 'and those whose licence fits one of these; "" is to have none')


@dataclass
class MotionConfig:
    backend: str = key(
        "dis",
        "where motion comes from: dis is OpenCV's flow, in the pass; raft is torchvision's; onnx is a flow network",
        choices=("dis", "raft", "onnx"),
    )
    weights: str = key("", "raft: a state dict of raft_large or raft_small; onnx: the ONNX file", result=False)
    sha256: str = key("", "of that file, 64 hex digits; another file is refused")

    def validate(self) -> None:
        if self.backend == "dis" and (self.weights or self.sha256):
            raise RequestError(f"motion.weights={self.weights}: motion.backend=dis takes none; it may be raft or onnx")
        if self.backend != "dis" and not self.weights:
            raise RequestError(f"motion.weights=: motion.backend={self.backend} needs a file")
        check_sha256("motion.sha256", self.sha256)


@dataclass
class ModelsConfig:
    gpus: float = key(
        0.0, "GPUs that each scoring process takes, which may be a share of one; 0: it runs on the CPU", result=bool
    )
    actors: int = key(0, "scoring processes; 0: as many as the GPUs hold, on the CPU one a worker", result=False)
    batch: int = key(8, "pictures or pairs of a clip that a network takes at a time")

    def validate(self) -> None:
        if not (0 <= self.gpus <= 1 or (self.gpus > 1 and self.gpus.is_integer())):
            raise RequestError(f"models.gpus={self.gpus}: must be from 0 to 1, or a whole number")
        if self.actors < 0:
            raise RequestError(f"models.actors={self.actors}: must be 0 or more")
        if self.batch < 1:
            raise RequestError(f"models.batch={self.batch}: must be 1 or more")


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
    input: str = key(
        "", "folder, glob, text file of paths, video, zip of videos; or a URI of one (required, or from)", result=False
    )
    output: str = key(help="folder or URI of the dataset", result=False)
    from_: str = key(
        "", "another dataset, whose measurements are selected from anew; nothing is measured", result=False
    )
    limit: int = key(0, "take only the first so many sources; 0: all", role="sources")
    drop: DropConfig = key(DropConfig, role="sources")
    clip: ClipConfig = key(ClipConfig)
    screen: ScreenConfig = key(ScreenConfig)
    filters: List[str] = key(lambda: list(FILTERS), "what is measured", choices=tuple(FILTERS))
    motion: MotionConfig = key(MotionConfig)
    aesthetic: AestheticConfig = key(AestheticConfig)
    dover: DoverConfig = key(DoverConfig)
    text_overlay: TextOverlayConfig = key(TextOverlayConfig)
    watermark: ClassifierConfig = key(ClassifierConfig)
    unsafe: ClassifierConfig = key(ClassifierConfig)
    models: ModelsConfig = key(ModelsConfig)
    join: JoinConfig = key(JoinConfig, role="selection")
    select: SelectConfig = key(SelectConfig, role="selection")
    dedup: DedupConfig = key(DedupConfig, role="selection")
    calibrate: bool = key(
        False, "only show what each bound would drop (calibrate.json, .png); nothing is packed", result=False
    )
    captions: List[str] = key(
        lambda: list(WRITTEN), "captioners in order of preference", choices=CAPTIONERS, role="selection"
    )
    caption: CaptionConfig = key(CaptionConfig, role="selection")
    pack: PackConfig = key(PackConfig, role="selection")
    check_disk: bool = key(True, "do not start where the disk is far too small for the output", result=False)
    source_timeout_s: float = key(300.0, "a source may keep a decoder silent for so long, seconds", result=False)
    max_failed: float = key(1.0, "the job fails where more than this share of the sources did", result=False)
    workers: int = key(0, "processes that decode and pack; 0: one a core", result=False)
    tracking: TrackingConfig = key(TrackingConfig, result=False)
    cluster: ClusterConfig = key(ClusterConfig, result=False)

    @classmethod
    def check_words(cls, names: list[str]) -> None:
        """Refuses keys that say how to measure beside `from`, whose dataset has measured already."""
        if "from_" not in names:
            return
        measure = {entry.name for entry in fields(cls) if entry.metadata["result"] and not entry.metadata["role"]}
        for name in names:
            if name.partition(".")[0] in measure:
                raise RequestError(
                    f"{name}: is as it was where from= was measured; leave it out, or curate from input="
                )

    def validate(self) -> None:
        if not (self.input or self.from_):
            raise RequestError("input: curate needs input=... (or from=DATASET)")
        if self.limit < 0:
            raise RequestError(f"limit={self.limit}: must be 0 (all) or more")
        if self.source_timeout_s <= 0:
            raise RequestError(f"source_timeout_s={self.source_timeout_s}: must be more than 0")
        if not 0 <= self.max_failed <= 1:
            raise RequestError(f"max_failed={self.max_failed}: must be from 0 to 1")
        if self.motion.backend != "dis" and "motion" not in self.filters:
            raise RequestError(f"motion.backend={self.motion.backend}: filters does not name motion")
        if not self.captions:
            raise RequestError("captions=[]: name at least one captioner")
        self.caption.validate_for(self.captions)
        self.watermark.validate_for("watermark")
        self.unsafe.validate_for("unsafe")
        if not self.from_:
            self.validate_scores()

    def validate_scores(self) -> None:
        """Whether all scores that selection names are known; with `from`, once its dataset's keys are taken over."""
        measured = [*scores_of(self), *vectors_of(self)]
        for column in self.join.columns:
            if column in measured or column in CLIP_COLUMNS:
                raise RequestError(f"join.columns={column}: a clip has that already; give the column another name")
        known = [*self.scores, *FACTS]
        best = self.select.best
        named = [(f"select.bands.{score}", score) for score in self.select.bands]
        for name, one in self.select.sets.items():
            if not (one.paths or one.tags):
                raise RequestError(f"select.sets.{name}: takes no source; give it paths or tags")
            named += [(f"select.sets.{name}.bands.{score}", score) for score in one.bands]
        if best.clips < 0:
            raise RequestError(f"select.best.clips={best.clips}: must be 0 (all) or more")
        if best.clips:
            named += [("select.best.by", best.by), *((f"select.best.edges.{score}", score) for score in best.edges)]
        for at, score in named:
            if score not in known:
                raise RequestError(f"{at}: nothing measures {score}; {advice_on(score, known)}")

    @property
    def scores(self) -> list[str]:
        """The columns of scores that every clip has, measured and joined."""
        return [*scores_of(self), *self.join.columns]
