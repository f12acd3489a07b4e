"""The clips of a curation as columns, so that selection works on arrays of a million clips.

`ClipTable` is also a sequence of rows. A `ClipRow` is a view: writing to the row writes to the columns.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping, Sequence
from typing import Any, Generic, TypeVar, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from framemill.data_filters.ledger.reasons import REASON_FIELDS, Reason, reason_columns, reasons_from_columns

Column = Any
"""A numpy array of numbers, null as NaN; a list for any other type."""
T = TypeVar("T")


class ClipTable(Sequence["ClipRow"]):
    """A table of clips, whose Arrow columns are converted to arrays or lists when first used.

    Column `reason` holds `Reason` objects; `to_table` turns them into the columns of REASON_FIELDS.
    """

    def __init__(self, table: pa.Table) -> None:
        """Creates the table over an Arrow table, which is not changed."""
        self.table = table
        self.columns: dict[str, Column] = {}

    @staticmethod
    def of(rows: Sequence[dict[str, Any]]) -> ClipTable:
        """Builds the table from rows, in which a value of `reason` is a `Reason` or None."""
        names = list(dict.fromkeys(name for row in rows for name in row))
        columns = {name: [row.get(name) for row in rows] for name in names}
        reasons = columns.pop("reason", None)
        clips = ClipTable(pa.table(columns))
        if reasons is not None:
            clips.put("reason", reasons)
        return clips

    @staticmethod
    def of_ledger(table: pa.Table) -> ClipTable:
        """Builds the table from a ledger table with the columns of REASON_FIELDS."""
        clips = ClipTable(table)
        clips.put("reason", reasons_from_columns(table))
        return clips

    def __len__(self) -> int:
        """Returns the number of clips."""
        return self.table.num_rows

    @overload
    def __getitem__(self, at: int) -> ClipRow: ...

    @overload
    def __getitem__(self, at: slice) -> list[ClipRow]: ...

    def __getitem__(self, at: int | slice) -> ClipRow | list[ClipRow]:
        """Returns a row, or the rows of a slice."""
        if isinstance(at, slice):
            return [ClipRow(self, i) for i in range(*at.indices(len(self)))]
        return ClipRow(self, range(len(self))[at])

    def __iter__(self) -> Iterator[ClipRow]:
        """Returns the rows in order."""
        return (ClipRow(self, i) for i in range(len(self)))

    def column(self, name: str) -> Column:
        """Returns a column as an array or a list; writing to it changes the table.

        Raises:
            KeyError: there is no column of this name.
        """
        if name not in self.columns:
            self.columns[name] = _as_column(self.table[name])
        return self.columns[name]

    def has(self, name: str) -> bool:
        """Returns whether there is a column of this name."""
        return name in self.columns or name in self.table.column_names

    def put(self, name: str, values: Column) -> None:
        """Sets a column, replacing a column of the same name."""
        self.columns[name] = values

    def names(self) -> list[str]:
        """Returns the names of the columns."""
        return list(dict.fromkeys([*self.table.column_names, *self.columns]))

    def to_table(self, schema: pa.Schema) -> pa.Table:
        """Returns an Arrow table with the columns of a schema."""
        columns = self.columns
        if any(name in schema.names for name, _ in REASON_FIELDS):
            columns = {**columns, **reason_columns(self.column("reason"))}
        arrays = [
            pa.array(columns[field.name], field.type, from_pandas=True)
            if field.name in columns
            else self.table[field.name].cast(field.type)
            for field in schema
        ]
        return pa.Table.from_arrays(arrays, schema=schema)


class _Cell(Generic[T]):
    """Descriptor that makes the value of a column an attribute of the row."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, row: ClipRow, owner: type) -> T:
        return row[self.name]

    def __set__(self, row: ClipRow, value: T) -> None:
        row[self.name] = value


class ClipRow(MutableMapping[str, Any]):
    """One clip of a `ClipTable`: the fixed columns as typed attributes, scores through `score`."""

    __slots__ = ("at", "clips")

    key = _Cell[str]()
    source_id = _Cell[str]()
    path = _Cell[str]()
    """Path of the source, relative to the input."""
    start_s = _Cell[float]()
    """Start of the clip in seconds since the source's first frame."""
    end_s = _Cell[float]()
    first_frame = _Cell[int]()
    """Index of the first frame in the source."""
    frames = _Cell[int]()
    """Number of frames."""
    width = _Cell[int]()
    """Width of the source's frames after rotation, pixels."""
    height = _Cell[int]()
    fps = _Cell[float]()
    description = _Cell[str]()
    """A sentence about the clip made from measured values."""
    phashes = _Cell[bytes]()
    """Perceptual hashes, 16 bytes per frame."""
    sidecar_caption = _Cell["str | None"]()
    state = _Cell[str]()
    """"kept", "filtered", "failed" or "duplicate"."""
    reason = _Cell["Reason | None"]()
    caption = _Cell["str | None"]()
    captions = _Cell["list[dict[str, Any]]"]()
    """All captions in order of preference: {"source", "text", "weight"}."""
    provenance = _Cell["dict[str, Any]"]()

    def __init__(self, clips: ClipTable, at: int) -> None:
        """Creates a view of row `at` of the table."""
        self.clips, self.at = clips, at

    def reject(self, state: str, reason: Reason) -> None:
        """Sets the state and the reason of a clip that is not kept."""
        self.state, self.reason = state, reason

    def score(self, name: str) -> float | None:
        """Returns the value of a score; None if it was not measured or there is no such column."""
        return self[name] if self.clips.has(name) else None

    def vector(self, name: str) -> list[float] | None:
        """Returns an embedding; None if it was not measured or there is no such column."""
        return self[name] if self.clips.has(name) else None

    def text(self, name: str) -> str | None:
        """Returns the value of a text column that not every dataset has; None if there is no such column."""
        return self[name] if self.clips.has(name) else None

    @property
    def seconds(self) -> float:
        """The length of the clip in seconds."""
        return self.end_s - self.start_s

    def __getitem__(self, name: str) -> Any:
        """Returns the value of a column."""
        values = self.clips.columns.get(name)
        if values is None:
            values = self.clips.column(name)
        if isinstance(values, list):
            return values[self.at]
        value = values.item(self.at)
        return None if value != value else value

    def __setitem__(self, name: str, value: Any) -> None:
        """Sets the value of a column; the column is added if there is none of this name."""
        if not self.clips.has(name):
            self.clips.put(name, [None] * len(self.clips))
        column = self.clips.column(name)
        column[self.at] = value

    def __delitem__(self, name: str) -> None:
        """Refuses to delete a column of a row.

        Raises:
            TypeError: always, since a row of a table cannot lose a column.
        """
        raise TypeError("a row of a table cannot lose a column")

    def __iter__(self) -> Iterator[str]:
        """Returns the names of the columns."""
        return iter(self.clips.names())

    def __len__(self) -> int:
        """Returns the number of columns."""
        return len(self.clips.names())

    def __repr__(self) -> str:
        """Returns the row as a dict."""
        return repr(dict(self))


def _as_column(values: pa.ChunkedArray) -> Column:
    """Returns a copy of an Arrow column as an array or a list."""
    kind = values.type
    if pa.types.is_floating(kind) or (pa.types.is_integer(kind) and not values.null_count):
        return np.array(values.to_numpy())
    return values.to_pylist()


def with_column(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    """Returns the table with a column replaced, or added at the end if there is none of this name."""
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, values)
    return table.append_column(name, values)


def in_order(table: pa.Table, name: str) -> pa.Table:
    """Returns the rows sorted by a text column."""
    values = table[name].combine_chunks() if table.num_rows else []
    if len(values) < 2 or pc.all(pc.less_equal(values[:-1], values[1:])).as_py():
        return table
    return table.take(pc.sort_indices(values))
