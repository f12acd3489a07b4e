"""`join.scores`: scores and captions made elsewhere, as columns beside the measured ones. Nothing is decoded."""

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

DECIMALS = 6
CAPTION = "joined_caption"
NAMES = ("key", "path")
"""What a file's rows may be named by: the key of a clip, or the path of a source, then for each of its clips."""


def with_join_digest(join: JoinConfig) -> JoinConfig:
    """Returns the section with the sha256 of `join.scores`, which is then part of the result.

    Raises:
        RequestError: the file is missing, or is not the one that was meant.
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
    """Checks that `join.scores` is a table of numbers by key or path, before hours of measuring.

    Raises:
        RequestError: it is not.
    """
    if join.scores:
        read_joined(join)


def join_scores(join: JoinConfig, measured: MeasuredSources) -> MeasuredSources:
    """The clips with the columns of the file; null where it says nothing of a clip.

    What it says of other clips and sources is left out: one file may serve many datasets.
    """
    if not join.scores:
        return measured
    joined = read_joined(join)
    name = joined.column_names[0]
    table = measured.clips
    rows = pc.index_in(table[name], joined[name].combine_chunks())
    for column in joined.column_names[1:]:
        table = with_column(table, column, joined[column].combine_chunks().take(rows.combine_chunks()))
    without = rows.null_count
    say(f"curate: joined {', '.join(joined.column_names[1:])} to {len(rows) - without} of {len(rows)} clips")
    return dataclasses.replace(measured, clips=table)


def read_joined(join: JoinConfig) -> pa.Table:
    """The file's `key` or `path`, each once, and the columns that are asked for: rounded numbers, and CAPTION.

    Raises:
        RequestError: it is not such a file.
    """
    uri = join.scores
    table = read_file(uri)
    name = next((name for name in NAMES if name in table.column_names), None)
    if name is None:
        raise RequestError(f"join.scores={uri}: has neither a column key nor path; it has {listed(table)}")
    names = table[name].cast(pa.string())
    if names.null_count:
        raise RequestError(f"join.scores={uri}: a row has no {name}")
    counts = pc.value_counts(names)
    twice = pc.min(counts.field("values").filter(pc.greater(counts.field("counts"), 1))).as_py()
    if twice is not None:
        raise RequestError(f"join.scores={uri}: {name} {twice} occurs more than once")
    columns = {name: names}
    for column in join.columns:
        if column not in table.column_names:
            raise RequestError(f"join.columns={column}: is not in {uri}, which has {listed(table)}")
        columns[column] = numbers(uri, name, names, column, table[column])
    if join.caption:
        columns[CAPTION] = texts(join, table)
    return pa.table(columns)


def read_file(uri: str) -> pa.Table:
    from pyarrow import csv

    try:
        if uri.endswith(".parquet"):
            return read_table(uri)
        # A key of digits only is text: left to itself the reader would make it a number.
        options = csv.ConvertOptions(column_types=dict.fromkeys(NAMES, pa.string()))
        return csv.read_csv(pa.BufferReader(storage.read_bytes(uri)), convert_options=options)
    except (OSError, pa.ArrowException) as error:
        line = str(error).splitlines()[0]
        raise RequestError(f"join.scores={uri}: cannot be read as Parquet or CSV ({line})") from error


def numbers(uri: str, name: str, names: pa.ChunkedArray, column: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column as rounded numbers; NaN is none."""
    kind = values.type
    if pa.types.is_null(kind):
        return values.cast(pa.float64())
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        row, value = odd_one(values)
        raise RequestError(f"join.scores={uri}: {column} of {name} {names[row].as_py()} is {value!r}, not a number")
    plain = values.cast(pa.float64())
    infinite = pc.index(pc.is_inf(plain), True).as_py()
    if infinite >= 0:
        raise RequestError(f"join.scores={uri}: {column} of {name} {names[infinite].as_py()} is not a finite number")
    return pc.round(pc.if_else(pc.is_nan(plain), None, plain), DECIMALS)


def texts(join: JoinConfig, table: pa.Table) -> pa.ChunkedArray:
    """The column of captions."""
    column, uri = join.caption, join.scores
    if column not in table.column_names:
        raise RequestError(f"join.caption={column}: is not in {uri}, which has {listed(table)}")
    if not (pa.types.is_null(table[column].type) or is_text(table[column].type)):
        raise RequestError(f"join.caption={column}: holds {table[column].type} in {uri}, not text")
    return table[column].cast(pa.string())


def is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def odd_one(values: pa.ChunkedArray) -> tuple[int, object]:
    """The first value that is no number, and its row; the first of all in a column whose kind is another."""
    for row, value in enumerate(values.to_pylist()):
        try:
            float(value if isinstance(value, str) else "x")
        except ValueError:
            if value is not None:
                return row, value
    return 0, values[0].as_py()


def listed(table: pa.Table) -> str:
    return ", ".join(table.column_names)
