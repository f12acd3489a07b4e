"""`join.scores`: scores and captions from a table of the user, added as columns of the clips.

Nothing is decoded for these columns.
"""

from __future__ import annotations

import dataclasses

import pyarrow as pa
import pyarrow.compute as pc

from framemill.data_filters.ledger.clip_table import with_column
from framemill.data_filters.ledger.measured import MeasuredSources
from framemill.data_filters.select.config import JoinConfig
from framemill.platform import storage
from framemill.platform.errors import RequestError
from framemill.platform.progress import say
from framemill.platform.tables import read_table

_DECIMALS = 6
"""Decimals to which joined scores are rounded, as measured scores are."""
_CAPTION = "joined_caption"
"""Column of the clips that captioner `joined` reads."""
_ID_COLUMNS = ("key", "path")
"""Columns that identify the rows of a file: the key of a clip, or the path of a source for all its clips."""


def with_join_digest(join: JoinConfig) -> JoinConfig:
    """Returns the config section with the SHA-256 of the file `join.scores`, on which the result depends.

    Raises:
        RequestError: the file is missing, or has another SHA-256 than configured.
    """
    if not join.scores:
        return join
    try:
        sha256 = storage.sha256_file(join.scores)
    except OSError as error:
        raise RequestError(f"join.scores={join.scores}: cannot be read ({error.strerror or error})") from error
    if join.sha256 not in ("", sha256):
        raise RequestError(f"join.scores={join.scores}: its sha256 is {sha256}, not {join.sha256}")
    return dataclasses.replace(join, sha256=sha256)


def check_join(join: JoinConfig) -> None:
    """Checks that `join.scores` is a table of scores by `key` or `path`, before hours of measuring.

    Raises:
        RequestError: the file is no table, an id is missing or repeated, or a column is absent or has a wrong type.
    """
    if join.scores:
        _read_rows(join)


def join_scores(join: JoinConfig, measured: MeasuredSources) -> MeasuredSources:
    """Returns the measurements with the columns of the file; null for a clip that the file does not have.

    Rows of clips and sources that were not measured are ignored, so that one file may serve many datasets.

    Raises:
        RequestError: the file is no table, an id is missing or repeated, or a column is absent or has a wrong type.
    """
    if not join.scores:
        return measured
    rows = _read_rows(join)
    id_column, *names = rows.column_names
    table = measured.clips
    indices = pc.index_in(table[id_column], rows[id_column].combine_chunks()).combine_chunks()
    for name in names:
        table = with_column(table, name, rows[name].combine_chunks().take(indices))
    matches = len(indices) - indices.null_count
    say(f"curate: joined {', '.join(names)} to {matches} of {len(indices)} clips")
    return dataclasses.replace(measured, clips=table)


def _read_rows(join: JoinConfig) -> pa.Table:
    """Returns the `key` or `path` column and the configured columns of the file.

    Scores are rounded, and the column of captions is named _CAPTION.

    Raises:
        RequestError: the file is no table, an id is missing or repeated, or a column is absent or has a wrong type.
    """
    uri = join.scores
    table = _read_file(uri)
    id_column = next((name for name in _ID_COLUMNS if name in table.column_names), None)
    if id_column is None:
        raise RequestError(f"join.scores={uri}: has neither a column key nor path; it has {_columns(table)}")
    ids = table[id_column].cast(pa.string())
    if ids.null_count:
        raise RequestError(f"join.scores={uri}: a row has no {id_column}")
    counts = pc.value_counts(ids)
    twice = pc.min(counts.field("values").filter(pc.greater(counts.field("counts"), 1))).as_py()
    if twice is not None:
        raise RequestError(f"join.scores={uri}: {id_column} {twice} occurs more than once")
    columns = {id_column: ids}
    for name in join.columns:
        if name not in table.column_names:
            raise RequestError(f"join.columns={name}: is not in {uri}, which has {_columns(table)}")
        columns[name] = _numbers(uri, id_column, ids, name, table[name])
    if join.caption:
        columns[_CAPTION] = _texts(join, table)
    return pa.table(columns)


def _read_file(uri: str) -> pa.Table:
    """Returns a Parquet or CSV file as a table.

    Raises:
        RequestError: the file cannot be read as Parquet or CSV.
    """
    from pyarrow import csv

    try:
        if uri.endswith(".parquet"):
            return read_table(uri)
        # Without these types the reader would turn keys of digits only into numbers.
        options = csv.ConvertOptions(column_types=dict.fromkeys(_ID_COLUMNS, pa.string()))
        return csv.read_csv(pa.BufferReader(storage.read_bytes(uri)), convert_options=options)
    except (OSError, pa.ArrowException) as error:
        line = str(error).splitlines()[0]
        raise RequestError(f"join.scores={uri}: cannot be read as Parquet or CSV ({line})") from error


def _numbers(uri: str, id_column: str, ids: pa.ChunkedArray, name: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns a column as rounded float64; NaN becomes null.

    Raises:
        RequestError: a value is not a finite number.
    """
    kind = values.type
    if pa.types.is_null(kind):
        return values.cast(pa.float64())
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        row, value = _first_non_number(values)
        raise RequestError(f"join.scores={uri}: {name} of {id_column} {ids[row].as_py()} is {value!r}, not a number")
    numbers = values.cast(pa.float64())
    infinite = pc.index(pc.is_inf(numbers), True).as_py()
    if infinite >= 0:
        raise RequestError(f"join.scores={uri}: {name} of {id_column} {ids[infinite].as_py()} is not a finite number")
    return pc.round(pc.if_else(pc.is_nan(numbers), None, numbers), _DECIMALS)


def _texts(join: JoinConfig, table: pa.Table) -> pa.ChunkedArray:
    """Returns the column of captions as text.

    Raises:
        RequestError: there is no such column, or its values are not text.
    """
    name, uri = join.caption, join.scores
    if name not in table.column_names:
        raise RequestError(f"join.caption={name}: is not in {uri}, which has {_columns(table)}")
    if not (pa.types.is_null(table[name].type) or _is_text(table[name].type)):
        raise RequestError(f"join.caption={name}: holds {table[name].type} in {uri}, not text")
    return table[name].cast(pa.string())


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _first_non_number(values: pa.ChunkedArray) -> tuple[int, object]:
    """Returns the row and value of the first text that is not a number; row 0 of a column of another type."""
    for row, value in enumerate(values.to_pylist()):
        try:
            float(value if isinstance(value, str) else "x")
        except ValueError:
            if value is not None:
                return row, value
    return 0, values[0].as_py()


def _columns(table: pa.Table) -> str:
    return ", ".join(table.column_names)
