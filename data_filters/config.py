"""The keys of `framemill curate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, List

from framemill.data_filters.captions.config import CaptionConfig
from framemill.data_filters.captions.registry import CAPTIONERS, TEXT_CAPTIONERS
from framemill.data_filters.dedup.config import DedupConfig
from framemill.data_filters.filters.registry import FILTERS, score_columns
from framemill.data_filters.measure.config import ClipConfig, ScreenConfig
from framemill.data_filters.models.base import ModelSpec
from framemill.data_filters.models.config import (
    AestheticConfig,
    ClassifierConfig,
    DoverConfig,
    ModelsConfig,
    MotionConfig,
    TextOverlayConfig,
)
from framemill.data_filters.models.registry import SCORERS, advice_on, enabled_specs
from framemill.data_filters.pack.config import PackConfig
from framemill.data_filters.select.config import JoinConfig, SelectConfig
from framemill.data_filters.sources.config import DropConfig
from framemill.platform.config import ClusterConfig, TrackingConfig, key
from framemill.platform.errors import RequestError

if TYPE_CHECKING:
    from framemill.data_filters.select.bounds import Stage

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
    filters: List[str] = key(lambda: list(FILTERS), "what is measured", choices=FILTERS.names)
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
        lambda: list(TEXT_CAPTIONERS),
        "captioners in order of preference",
        choices=CAPTIONERS.names,
        role="selection",
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
        measured = [*self.measured_scores, *self.vectors]
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
    def model_specs(self) -> list[ModelSpec]:
        """The scorers that are on, in the order in which they run."""
        return enabled_specs({name: getattr(self, name) for name in SCORERS}, self.models)

    @property
    def pass_filters(self) -> list[str]:
        """The filters of the decode pass: those whose columns no network measures in their stead."""
        networks = {spec.scorer for spec in self.model_specs}
        return [name for name in self.filters if name not in networks]

    @property
    def measured_scores(self) -> list[str]:
        """The columns of the scores that are measured, those of filters first."""
        columns = [*score_columns(self.filters), *(column for spec in self.model_specs for column in spec.columns)]
        return list(dict.fromkeys(columns))

    @property
    def scores(self) -> list[str]:
        """The columns of the scores of every clip, measured and joined."""
        return [*self.measured_scores, *self.join.columns]

    @property
    def vectors(self) -> list[str]:
        """The columns of embeddings that are measured."""
        return [column for spec in self.model_specs for column in spec.vectors]

    def rules_by_stage(self, done: Sequence[ModelSpec]) -> list[Stage]:
        """Returns the rules for the scores known once these scorers are done: of the decode pass, then of each scorer.

        What the decode pass rejects needs no score of a network.
        """
        from framemill.data_filters.select.bounds import banded, stage_rules

        by_networks = {column for spec in self.model_specs for column in spec.columns}
        scores = banded(self.select)
        stages = [[score for score in scores if score not in by_networks]]
        stages += [[score for score in spec.columns if score in scores] for spec in done]
        return [stage_rules(self.select, names, self.join.columns) for names in stages]
