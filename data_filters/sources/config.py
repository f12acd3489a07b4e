"""Keys of `framemill curate` that exclude sources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List

from framemill.platform.config import key


@dataclass
class DropConfig:
    paths: List[str] = key(list, "sources whose path fits one of these globs are left out")
    tags: List[str] = key(list, "and those with a tag that fits one of these")
    licences: List[str] = key(list, 'and those whose licence fits one of these; "" is to have none')
