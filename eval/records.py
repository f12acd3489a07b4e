"""Record of one dimension on one video: a line of the ledger, returned by a worker."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from framemill.eval.dimensions.base import DimensionResult
from framemill.eval.dimensions.registry import DIMENSIONS, load_dimension
from framemill.eval.suites import EvaluationPlan


@dataclass(frozen=True)
class DimensionRecord:
    """Final state of one dimension on one video: a result, or the reason for the failure."""

    video: str
    """File name, relative to the folder of videos."""
    prompt: str
    sha256: str
    """Hash of the video file that was measured."""
    dimension: str
    version: int
    """`Dimension.version` of the code that measured the video."""
    state: str
    """"ok" or "failed"."""
    reason: str = ""
    """Reason for the failure; empty if the state is "ok"."""
    result: DimensionResult | None = None
    """Result that the dimension returned; None if the measurement failed."""

    def to_line(self) -> str:
        """Returns the record as one line of JSON with sorted keys, without a newline."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)


def parse_record(line: str) -> DimensionRecord | None:
    """Returns the record of a ledger line; None if the dimension has another version now, or no implementation."""
    fields: dict[str, Any] = json.loads(line)
    name, result = fields["dimension"], fields.pop("result")
    if name not in DIMENSIONS or not DIMENSIONS[name].measurable:
        return None
    dimension = load_dimension(name)
    if fields["version"] != dimension.version:
        return None
    return DimensionRecord(**fields, result=None if result is None else dimension.result_type(**result))


def ordered_records(plan: EvaluationPlan, records: Mapping[tuple[str, str], DimensionRecord]) -> list[DimensionRecord]:
    """Returns the records of the plan's videos, in the plan's order."""
    order = [(video.name, dimension) for video in plan.videos for dimension in video.dimensions]
    return [records[key] for key in order if key in records]
