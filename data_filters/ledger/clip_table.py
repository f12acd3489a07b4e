"""The clips of a curation as columns: a million of them are arrays and not dicts, decided upon by masks.

`Clips` is a sequence of rows all the same. A row is a view: what is written to it is written to the columns.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from framemill.data_filters.ledger.parts import CLIP_FIELDS, Part

Column = Any
"""Numbers are an array, null as NaN; all else is a list."""
Row = dict[str, Any]
GATHERED = 1000
"""Tables of so many sources are joined to one: a table takes far more room than the few clips in it."""


class ClipTable(Sequence["ClipRow"]):
    """A table whose columns turn into arrays and lists as they are asked for; the others stay as Arrow has them."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self.columns: dict[str, Column] = {}

    @staticmethod
    def of(rows: Sequence[Row]) -> ClipTable:
        return ClipTable(pa.Table.from_pylist(list(rows)))

    def __len__(self) -> int:
        return self.table.num_rows

    @overload
    def __getitem__(self, at: int) -> ClipRow: ...

    @overload
    def __getitem__(self, at: slice) -> list[ClipRow]: ...

    def __getitem__(self, at: int | slice) -> ClipRow | list[ClipRow]:
        if isinstance(at, slice):
            return [ClipRow(self, i) for i in range(*at.indices(len(self)))]
        return ClipRow(self, range(len(self))[at])

    def __iter__(self) -> Iterator[ClipRow]:
        return (ClipRow(self, i) for i in range(len(self)))

    def column(self, name: str) -> Column:
        """A column to read and to write to.

        Raises:
            KeyError: there is none of that name.
        """
        if name not in self.columns:
            self.columns[name] = plain(self.table[name])
        return self.columns[name]

    def has(self, name: str) -> bool:
        return name in self.columns or name in self.table.column_names

    def put(self, name: str, values: Column) -> None:
        """A column in the place of the one of that name, or beside the others."""
        self.columns[name] = values

    def names(self) -> list[str]:
        return list(dict.fromkeys([*self.table.column_names, *self.columns]))

    def to_table(self, schema: pa.Schema) -> pa.Table:
        """The columns of a schema as Arrow's."""
        columns = [
            pa.array(self.columns[field.name], field.type, from_pandas=True)
            if field.name in self.columns
            else self.table[field.name].cast(field.type)
            for field in schema
        ]
        return pa.Table.from_arrays(columns, schema=schema)


class ClipRow(MutableMapping[str, Any]):
    """One clip of some Clips."""

    __slots__ = ("at", "clips")

    def __init__(self, clips: ClipTable, at: int) -> None:
        self.clips, self.at = clips, at

    def __getitem__(self, name: str) -> Any:
        values = self.clips.columns.get(name)
        if values is None:
            values = self.clips.column(name)
        if isinstance(values, list):
            return values[self.at]
        value = values.item(self.at)
        return None if value != value else value

    def __setitem__(self, name: str, value: Any) -> None:
        if not self.clips.has(name):
            self.clips.put(name, [None] * len(self.clips))
        column = self.clips.column(name)
        column[self.at] = value

    def __delitem__(self, name: str) -> None:
        raise TypeError("a row of a table cannot lose a column")

    def __iter__(self) -> Iterator[str]:
        return iter(self.clips.names())

    def __len__(self) -> int:
        return len(self.clips.names())

    def __repr__(self) -> str:
        return repr(dict(self))


@dataclass(frozen=True)
class MeasuredSources:
    """What measuring all sources gave."""

    parts: list[Part]
    """Without the rows of their clips."""
    clips: pa.Table
    """All clips of all of them, `path` says whose: the clips table without verdicts."""

    @staticmethod
    def of(parts: Sequence[Part]) -> MeasuredSources:
        """Out of parts that have their clips as rows."""
        rows = [clip for part in parts for clip in part.clips]
        return MeasuredSources(
            list(parts), pa.Table.from_pylist(rows) if rows else pa.schema(CLIP_FIELDS).empty_table()
        )

    def found(self) -> dict[str, int]:
        """How many clips each source with any has."""
        if not self.clips.num_rows:
            return {}
        counts = pc.value_counts(self.clips["path"])
        return dict(zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True))


class PartCollector:
    """Joins what many sources gave."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self.parts: list[Part] = []
        self.tables: list[pa.Table] = []
        self.few: list[pa.Table] = []

    def add(self, held: tuple[Part, pa.Table] | None) -> bool:
        """Takes a part and its clips; False where there is none."""
        if held is None:
            return False
        self.parts.append(held[0])
        table = held[1]
        there = set(table.column_names)
        columns = [
            table[field.name] if field.name in there else pa.nulls(table.num_rows, field.type) for field in self.schema
        ]
        self.few.append(pa.Table.from_arrays(columns, schema=self.schema))
        if len(self.few) == GATHERED:
            self.tables.append(pa.concat_tables(self.few).combine_chunks())
            self.few = []
        return True

    def measured(self) -> MeasuredSources:
        return MeasuredSources(self.parts, pa.concat_tables([self.schema.empty_table(), *self.tables, *self.few]))


def plain(values: pa.ChunkedArray) -> Column:
    """An Arrow column as an array or list of its own."""
    kind = values.type
    if pa.types.is_floating(kind) or (pa.types.is_integer(kind) and not values.null_count):
        return np.array(values.to_numpy())
    return values.to_pylist()


def with_column(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    """A table with a column in the place of the one of that name, or beside the others."""
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, values)
    return table.append_column(name, values)


def in_order(table: pa.Table, name: str) -> pa.Table:
    """The rows sorted by a column of text."""
    values = table[name].combine_chunks() if table.num_rows else []
    if len(values) < 2 or pc.all(pc.less_equal(values[:-1], values[1:])).as_py():
        return table
    return table.take(pc.sort_indices(values))
