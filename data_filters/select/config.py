"""Keys of `framemill curate` that decide which measured clips are kept."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Dict, List, Optional

from framemill.platform.config import key
from framemill.platform.errors import RequestError


@dataclass
class Band:
    """The scores that are kept; a bound that is null rejects nothing."""

    min: Optional[float] = key(None, "lowest score that is kept, in the score's unit")
    max: Optional[float] = key(None, "highest score that is kept, in the score's unit")
    min_quantile: Optional[float] = key(None, "lower bound as a quantile: 0.2 rejects the lowest 20 % of the clips")
    max_quantile: Optional[float] = key(None, "upper bound as a quantile: 0.95 rejects the highest 5 % of the clips")

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
    """Sources with bands of their own: those that match a path or a tag."""

    paths: List[str] = key(list, "globs of source paths in the set")
    tags: List[str] = key(list, "globs of tags; a source with a matching tag is in the set")
    bands: Dict[str, Band] = key(dict, "bands of the set by score; other scores keep the band of select.bands")


@dataclass
class BestConfig:
    """The best clips of those that pass, balanced over classes."""

    clips: int = key(0, "number of clips to keep, the best of those that pass the bands; 0: all")
    by: str = key("technical", "score that ranks clips, highest first")
    edges: Dict[str, List[float]] = key(
        dict, "classes by score: the edges of each score's intervals, {score: [edge, ...]}; classes get equal shares"
    )
    tags: Dict[str, List[str]] = key(
        dict, "classes by tag: a clip is in the class of the first listed tag that its source has, {name: [tag, ...]}"
    )


@dataclass
class SelectConfig:
    """The rules by which clips are kept."""

    bands: Dict[str, Band] = key(dict, "scores that are kept, for all sources: {score: {min: ..., max: ...}}")
    sets: Dict[str, SourceSet] = key(
        dict, "sets of sources with bands of their own; the first set by name wins for a source in several sets"
    )
    best: BestConfig = key(BestConfig)


@dataclass
class JoinConfig:
    """A table of scores and captions from elsewhere."""

    scores: str = key(
        "", "Parquet or CSV file of scores by clip key (`key`) or source path (`path`), path or URI", result=False
    )
    sha256: str = key("", "sha256 of the file join.scores, 64 hex digits; another file is refused")
    columns: List[str] = key(list, "columns of join.scores that become scores of the clips")
    caption: str = key("", "column of join.scores with captions, for captioner `joined`")

    def validate(self) -> None:
        """Checks that the file and its columns are named together.

        Raises:
            RequestError: a key is missing, or a column's name cannot be a score's.
        """
        if bool(self.scores) != bool(self.columns or self.caption):
            raise RequestError(f"join.columns={self.columns}: name columns of the file join.scores, and the file")
        if not self.scores and self.sha256:
            raise RequestError(f"join.sha256={self.sha256}: must be empty without join.scores")
        for column in self.columns:
            if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", column):
                raise RequestError(f"join.columns={column}: must be letters, digits and _ to become a score's name")
