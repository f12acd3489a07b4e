"""The keys of `framemill curate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, List

from framemill.data_filters.captions.config import CaptionConfig
from framemill.data_filters.captions.registry import CAPTIONERS, TEXT_CAPTIONERS
from framemill.data_filters.dedup.config import DedupConfig
from framemill.data_filters.filters.registry import FILTERS, score_columns
from framemill.data_filters.measure.config import ClipConfig, PrefilterConfig
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

CLIP_PROPERTIES = ("width", "height", "fps")
"""Clip properties that `select.bands` may also use."""
_RESERVED_COLUMNS = (
    *("key", "source_id", "path", "start_s", "end_s", "first_frame", "frames", "description", "phashes"),
    *CLIP_PROPERTIES,
    *("sidecar_caption", "joined_caption", "state", "caption", "captions", "provenance", "unscored"),
    *("reason", "cause", "cause_score", "cause_bound", "cause_detail", "duplicate_of"),
    *("thumbnail", "embedding"),
    *("bucket", "aspect_ratio", "seconds", "duration", "in_s", "out_s", "shard", "members"),
)
"""Reserved column names: no score may have one of these names."""


@dataclass
class CurateConfig:
    """The keys of `framemill curate`: general keys, and one section for each stage and each scorer."""

    input: str = key(
        "",
        "footage: path or URI of a folder, glob, text file of paths, video, zip or WebDataset tar of videos; required "
        "unless from is given",
        result=False,
    )
    output: str = key(help="folder or URI of the dataset to write", result=False)
    from_: str = key(
        "",
        "folder or URI of a curated dataset: selection runs again on its measurements, and nothing is decoded",
        result=False,
    )
    limit: int = key(0, "maximum number of sources, taken in order of their paths; 0: all", role="sources")
    drop: DropConfig = key(DropConfig, role="sources")
    clip: ClipConfig = key(ClipConfig)
    screen: PrefilterConfig = key(PrefilterConfig)
    filters: List[str] = key(lambda: list(FILTERS), "filters that the decode pass computes", choices=FILTERS.names)
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
        False,
        "report how many clips each bound rejects (calibrate.json, calibrate.png), without captioning or packing",
        result=False,
    )
    captions: List[str] = key(
        lambda: list(TEXT_CAPTIONERS),
        "captioners in order of preference, of which the first text that passes the checks becomes a clip's caption; "
        "joined: column join.caption, sidecar: file beside the source, descriptor: sentence made from measured values, "
        "endpoint: model on a server, vlm: transformers model in the workers",
        choices=CAPTIONERS.names,
        role="selection",
    )
    caption: CaptionConfig = key(CaptionConfig, role="selection")
    pack: PackConfig = key(PackConfig, role="selection")
    check_disk: bool = key(
        True, "refuse to start if the free disk space is less than a tenth of what the output may need", result=False
    )
    source_timeout_s: float = key(
        300.0,
        "timeout of the decoder process: maximum time without output while reading a source, seconds",
        result=False,
    )
    max_failed: float = key(
        1.0, "maximum share of sources (0 to 1) that may fail; if more fail, the job fails", result=False
    )
    workers: int = key(0, "number of worker processes that decode and pack; 0: one per CPU core", result=False)
    tracking: TrackingConfig = key(TrackingConfig, result=False)
    cluster: ClusterConfig = key(ClusterConfig, result=False)

    @classmethod
    def check_words(cls, names: list[str]) -> None:
        """Rejects keys that configure measuring when `from` is given, since that dataset is already measured.

        Args:
            names: the keys that are given, by their attribute names.

        Raises:
            RequestError: `from` and a key that configures measuring are both given.
        """
        if "from_" not in names:
            return
        measure = {entry.name for entry in fields(cls) if entry.metadata["result"] and not entry.metadata["role"]}
        for name in names:
            if name.partition(".")[0] in measure:
                raise RequestError(
                    f"{name}: must be left out with from=, since that dataset is measured; or curate from input="
                )

    def validate(self) -> None:
        """Checks the keys outside of sections, and the keys that depend on other sections.

        Raises:
            RequestError: a value is out of range, or two keys contradict each other.
        """
        if not (self.input or self.from_):
            raise RequestError("input: curate needs input=... (or from=DATASET)")
        if self.limit < 0:
            raise RequestError(f"limit={self.limit}: must be 0 (all) or more")
        if self.source_timeout_s <= 0:
            raise RequestError(f"source_timeout_s={self.source_timeout_s}: must be more than 0")
        if not 0 <= self.max_failed <= 1:
            raise RequestError(f"max_failed={self.max_failed}: must be from 0 to 1")
        if self.motion.backend != "dis" and "motion" not in self.filters:
            raise RequestError(f"motion.backend={self.motion.backend}: filters must contain motion")
        if not self.captions:
            raise RequestError("captions=[]: must name at least one captioner")
        self.caption.validate_for(self.captions, CAPTIONERS.names)
        self.watermark.validate_for("watermark")
        self.unsafe.validate_for("unsafe")
        if not self.from_:
            self.validate_scores()

    def validate_scores(self) -> None:
        """Checks that the scores that selection uses exist.

        With `from`, it is called once the keys of that dataset are inherited.

        Raises:
            RequestError: a band or ranking names a score that nothing measures, a set of sources has neither paths nor
                tags, or a joined column has a name that another column has.
        """
        measured = [*self.measured_scores, *self.vectors]
        for column in self.join.columns:
            if column in measured or column in _RESERVED_COLUMNS:
                raise RequestError(f"join.columns={column}: must be a name that no other column has")
        known = [*self.scores, *CLIP_PROPERTIES]
        best = self.select.best
        named = [(f"select.bands.{score}", score) for score in self.select.bands]
        for name, one in self.select.sets.items():
            if not (one.paths or one.tags):
                raise RequestError(f"select.sets.{name}: must have paths or tags, or it matches no source")
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
        """The enabled scorers, in the order in which they run."""
        return enabled_specs({name: getattr(self, name) for name in SCORERS}, self.models)

    @property
    def pass_filters(self) -> list[str]:
        """The filters that the decode pass computes: those whose columns no network measures instead."""
        networks = {spec.scorer for spec in self.model_specs}
        return [name for name in self.filters if name not in networks]

    @property
    def measured_scores(self) -> list[str]:
        """The names of the score columns that are measured: those of filters, then those of networks."""
        columns = [*score_columns(self.filters), *(column for spec in self.model_specs for column in spec.columns)]
        return list(dict.fromkeys(columns))

    @property
    def scores(self) -> list[str]:
        """The names of all score columns: the measured ones, then the joined ones."""
        return [*self.measured_scores, *self.join.columns]

    @property
    def vectors(self) -> list[str]:
        """The names of the embedding columns that networks measure."""
        return [column for spec in self.model_specs for column in spec.vectors]

    def rules_by_stage(self, done: Sequence[ModelSpec]) -> list[Stage]:
        """Returns the rules of selection by stage: those of the decode pass, then those of each scorer that is done.

        Clips that the decode pass rejects are not scored by networks.

        Args:
            done: the scorers whose scores are available.
        """
        from framemill.data_filters.select.bounds import scores_with_bands, stage_rules

        by_networks = {column for spec in self.model_specs for column in spec.columns}
        scores = scores_with_bands(self.select)
        stages = [[score for score in scores if score not in by_networks]]
        stages += [[score for score in spec.columns if score in scores] for spec in done]
        return [stage_rules(self.select, names, self.join.columns) for names in stages]
