"""Keys of `framemill curate` that decide which measured clips are kept."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Dict, List, Optional

from framemill.platform.config import key
from framemill.platform.errors import RequestError


@dataclass
class Band:
    """The range of a score in which clips are kept; a bound that is null rejects nothing."""

    min: Optional[float] = key(None, "lowest score that is kept, in the score's unit")
    max: Optional[float] = key(None, "highest score that is kept, in the score's unit")
    min_quantile: Optional[float] = key(
        None,
        "lower bound as a quantile, 0 to 1: 0.2 rejects the 20 % of clips with the lowest scores; computed over the "
        "clips that passed the length check and the bands of earlier stages (decode pass, then each network); if "
        "min is given too, the stricter bound applies",
    )
    max_quantile: Optional[float] = key(
        None,
        "upper bound as a quantile, 0 to 1: 0.95 rejects the 5 % of clips with the highest scores; computed over the "
        "clips that passed the length check and the bands of earlier stages (decode pass, then each network); if "
        "max is given too, the stricter bound applies",
    )

    def validate(self) -> None:
        """Checks the quantiles.

        Raises:
            RequestError: a quantile is not from 0 to 1.
        """
        for name, value in (("min_quantile", self.min_quantile), ("max_quantile", self.max_quantile)):
            if value is not None and not 0 <= value <= 1:
                raise RequestError(f"{name}={value}: must be from 0 to 1, in a band of select")


@dataclass
class SourceSet:
    """A set of sources, matched by path or tag, with bands of its own."""

    paths: List[str] = key(list, "globs of source paths; a source with a matching path is in the set")
    tags: List[str] = key(list, "globs of tags; a source with a matching tag is in the set")
    bands: Dict[str, Band] = key(dict, "bands of the set by score; other scores keep the band of select.bands")


@dataclass
class BestConfig:
    """Selection of the best clips among those that pass the bands, balanced over classes."""

    clips: int = key(
        0, "maximum number of clips to keep, the best of those that pass the bands; 0: all of those that pass"
    )
    by: str = key("technical", "score by which select.best.clips ranks clips, highest first")
    edges: Dict[str, List[float]] = key(
        dict,
        "class edges per score, {score: [edge, ...]}: each interval is a class, and classes get equal shares of clips",
    )
    tags: Dict[str, List[str]] = key(
        dict, "classes by tag, {name: [tag, ...]}: the class of a clip is the first listed tag that the source has"
    )


@dataclass
class SelectConfig:
    """The rules by which measured clips are kept or rejected."""

    bands: Dict[str, Band] = key(
        dict, "bands of scores for all sources, {score: {min: ..., max: ...}}: clips outside a band are rejected"
    )
    sets: Dict[str, SourceSet] = key(
        dict,
        "sets of sources with bands of their own, by name; if several sets of a source have a band for a score, the "
        "first set by name applies",
    )
    best: BestConfig = key(BestConfig)


@dataclass
class JoinConfig:
    """A table of scores and captions from outside, joined to the clips by key or by source path."""

    scores: str = key(
        "",
        "path or URI of a Parquet or CSV file of scores, with a column `key` of clips or `path` of sources",
        result=False,
    )
    sha256: str = key(
        "",
        "expected SHA-256 of the file join.scores, 64 hex digits; a file with another hash is refused; empty: any file",
    )
    columns: List[str] = key(list, "columns of the file join.scores that become scores of the clips")
    caption: str = key("", "column of the file join.scores with captions, for captioner `joined`")

    def validate(self) -> None:
        """Checks that the file and its columns are given together.

        Raises:
            RequestError: the file or its columns are missing, or a column has a name that no score can have.
        """
        if bool(self.scores) != bool(self.columns or self.caption):
            raise RequestError(
                f"join.columns={self.columns}: must be given together with join.scores, the file with these columns"
            )
        if not self.scores and self.sha256:
            raise RequestError(f"join.sha256={self.sha256}: must be empty without join.scores")
        for column in self.columns:
            if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", column):
                raise RequestError(f"join.columns={column}: must be letters, digits and _ to become a score's name")
