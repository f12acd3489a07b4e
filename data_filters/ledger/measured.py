"""What measuring all sources gave: their parts, and the clips of all of them in one Arrow table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from framemill.data_filters.ledger.parts import Part
from framemill.data_filters.ledger.schema import CLIP_FIELDS

_BATCH = 1000
"""Tables of this many sources are joined at a time: a table takes far more memory than the few clips in it."""


@dataclass(frozen=True)
class MeasuredSources:
    """All sources, and all their clips."""

    parts: list[Part]
    clips: pa.Table
    """The clips table without states; column `path` names the source."""

    @staticmethod
    def of(parts: Sequence[Part], clips: Sequence[dict[str, Any]]) -> MeasuredSources:
        """From parts and from rows of clips."""
        table = pa.Table.from_pylist(list(clips)) if clips else pa.schema(CLIP_FIELDS).empty_table()
        return MeasuredSources(list(parts), table)

    def clip_counts(self) -> dict[str, int]:
        """The number of clips by path of the source; sources without clips are not in it."""
        if not self.clips.num_rows:
            return {}
        counts = pc.value_counts(self.clips["path"])
        return dict(zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True))


class PartCollector:
    """Joins the parts of many sources to one `MeasuredSources`."""

    def __init__(self, schema: pa.Schema) -> None:
        """Creates an empty collector.

        Args:
            schema: columns of the joined clips table; a part that lacks one has nulls there.
        """
        self.schema = schema
        self.parts: list[Part] = []
        self._tables: list[pa.Table] = []
        self._batch: list[pa.Table] = []

    def add(self, measured: tuple[Part, pa.Table] | None) -> bool:
        """Takes a part and its clips; returns False where `measured` is None."""
        if measured is None:
            return False
        part, table = measured
        self.parts.append(part)
        names = set(table.column_names)
        columns = [
            table[field.name] if field.name in names else pa.nulls(table.num_rows, field.type) for field in self.schema
        ]
        self._batch.append(pa.Table.from_arrays(columns, schema=self.schema))
        if len(self._batch) == _BATCH:
            self._tables.append(pa.concat_tables(self._batch).combine_chunks())
            self._batch = []
        return True

    def measured(self) -> MeasuredSources:
        """All that was added."""
        return MeasuredSources(self.parts, pa.concat_tables([self.schema.empty_table(), *self._tables, *self._batch]))
