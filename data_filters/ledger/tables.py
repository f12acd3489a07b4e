"""Reading the ledger of a committed dataset of any format version, and checking a ledger before the commit."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from framemill.data_filters.ledger import format_v1
from framemill.data_filters.ledger.clip_table import ClipTable
from framemill.data_filters.ledger.reasons import REASON_FIELDS
from framemill.data_filters.ledger.source_row import SourceRow, source_rows
from framemill.platform import storage
from framemill.platform.dataset import read_ledger
from framemill.platform.dataset_format import conservation_problems, read_index
from framemill.platform.tables import read_table


def read_sources(dataset: str) -> list[SourceRow]:
    """Returns the sources of a dataset, sorted by path.

    Raises:
        RequestError: there is no dataset.
    """
    table = read_ledger(dataset, "sources")
    if _is_version_1(dataset):
        table = format_v1.upgraded_sources(table, read_table(_clips_uri(dataset), ["path", "state", "reason"]))
    return source_rows(table)


def read_clips(dataset: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Returns the clips of a dataset, sorted by key, with the columns of REASON_FIELDS.

    Args:
        dataset: folder or URI of the dataset.
        columns: the columns to read besides `state` and the columns of the reason; None: all.

    Raises:
        RequestError: there is no dataset.
    """
    old = _is_version_1(dataset)
    if columns is not None:
        reason = ["reason"] if old else [name for name, _ in REASON_FIELDS]
        columns = list(dict.fromkeys([*columns, "state", *reason]))
    table = read_table(_clips_uri(dataset), columns)
    return format_v1.upgraded_clips(table) if old else table


def _is_version_1(dataset: str) -> bool:
    return read_index(dataset)["format_version"] == 1


def _clips_uri(dataset: str) -> str:
    return storage.join(dataset, "ledger", "clips.parquet")


def check_conservation(sources: Sequence[SourceRow], clips: ClipTable) -> None:
    """Checks that every clip of the sources is in the clips table exactly once, in exactly one state.

    Raises:
        AssertionError: a source or clip occurs twice, a clip is missing, or a state is unknown, so that nothing may be
            committed.
    """
    problems = conservation_problems(
        pa.table({"path": [source.path for source in sources], "clips": [source.clips for source in sources]}),
        pa.table({"key": clips.table["key"], "state": pa.array(clips.column("state"), pa.string())}),
    )
    if problems:
        raise AssertionError("; ".join(problems))
