"""Keys of `framemill curate` that decide which measured clips are kept."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Dict, List, Optional

from framemill.platform.config import key
from framemill.platform.errors import RequestError


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
