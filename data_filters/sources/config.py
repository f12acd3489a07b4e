"""The section `drop` of the keys of `framemill curate`: sources that are excluded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List

from framemill.platform.config import key


@dataclass
class DropConfig:
    """Rules that exclude sources before they are decoded: lists of globs, of which one match is enough."""

    paths: List[str] = key(list, "exclude sources whose path matches one of these globs")
    tags: List[str] = key(list, "exclude sources with a tag that matches one of these globs")
    licences: List[str] = key(
        list, 'exclude sources whose licence matches one of these globs; "" matches sources without a licence'
    )
