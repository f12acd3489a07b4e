"""The measurements of all sources: their parts, and all their clips in one Arrow table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from framemill.data_filters.ledger.parts import Part
from framemill.data_filters.ledger.schema import CLIP_FIELDS

_BATCH = 1000
"""Number of sources whose tables are concatenated at a time: a table takes far more memory than its few clips."""


@dataclass(frozen=True)
class MeasuredSources:
    """The parts of all sources, and all their clips."""

    parts: list[Part]
    clips: pa.Table
    """The clips table without states; column `path` names the source."""

    @staticmethod
    def of(parts: Sequence[Part], clips: Sequence[dict[str, Any]]) -> MeasuredSources:
        """Builds the measurements from parts and from clips that are still rows."""
        table = pa.Table.from_pylist(list(clips)) if clips else pa.schema(CLIP_FIELDS).empty_table()
        return MeasuredSources(list(parts), table)

    def clip_counts(self) -> dict[str, int]:
        """Returns the number of clips of each source by path; sources without clips are left out."""
        if not self.clips.num_rows:
            return {}
        counts = pc.value_counts(self.clips["path"])
        return dict(zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True))


class PartCollector:
    """Concatenates the parts of many sources to one `MeasuredSources`."""

    def __init__(self, schema: pa.Schema) -> None:
        """Creates an empty collector.

        Args:
            schema: columns of the concatenated clips table; a column that a part lacks is null for its clips.
        """
        self.schema = schema
        self.parts: list[Part] = []
        self._tables: list[pa.Table] = []
        self._batch: list[pa.Table] = []

    def add(self, measured: tuple[Part, pa.Table] | None) -> bool:
        """Adds a part and its clips; returns False if `measured` is None."""
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
        """Returns everything that was added."""
        return MeasuredSources(self.parts, pa.concat_tables([self.schema.empty_table(), *self._tables, *self._batch]))
