"""Reading the samples, tables and ledger of a dataset."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from framemill.platform import storage
from framemill.platform.dataset_format import read_index
from framemill.platform.shard_writer import Sample
from framemill.platform.tables import read_table

if TYPE_CHECKING:
    import pandas as pd


class Dataset:
    """A committed dataset: a table with one row per sample, and random access to the members of each sample.

    Iteration yields each `Sample` (key, and content of the members by extension) in the order of the shards.
    """

    def __init__(self, path: str, index: dict[str, Any], samples: pa.Table) -> None:
        self.path, self.index, self.samples = path, index, samples
        self._shards: list[str] = samples["shard"].to_pylist() if samples.num_rows else []
        self._members: list[dict[str, tuple[int, int]]] = [
            {m["ext"]: (m["offset"], m["size"]) for m in row} for row in samples["members"].to_pylist()
        ]

    @staticmethod
    def open(path: str) -> Dataset:
        """Opens the dataset in a folder or at a URI.

        Raises:
            RequestError: there is no committed dataset, its index is damaged, or its format is newer than this version
                supports.
        """
        index = read_index(path)
        return Dataset(str(path), index, read_table(storage.join(path, "samples.parquet")))

    @property
    def digest(self) -> str:
        """Digest of the dataset's index, 16 hex digits, which identifies the content of the dataset."""
        return self.index["digest"]

    def __len__(self) -> int:
        return self.samples.num_rows

    def __iter__(self) -> Iterator[Sample]:
        return (self.sample(row) for row in range(len(self)))

    def to_arrow(self) -> pa.Table:
        """Returns the samples as an Arrow table: key, shard, members, bucket, size, caption and every score."""
        return self.samples

    def to_pandas(self) -> pd.DataFrame:
        """Returns the samples as a pandas data frame with the columns of `to_arrow`."""
        return self.samples.to_pandas()

    def ledger(self, name: str) -> pa.Table:
        """Returns a ledger table: "sources" (one row per source) or "clips" (one row per clip in any state)."""
        return read_ledger(self.path, name)

    def extensions(self, row: int) -> list[str]:
        """Returns the extensions of the members of the sample at `row`."""
        return list(self._members[row])

    def read(self, row: int, extension: str) -> bytes:
        """Returns the content of one member of the sample at `row`.

        Raises:
            KeyError: the sample has no such member.
        """
        offset, length = self._members[row][extension]
        return storage.read_range(storage.join(self.path, "shards", self._shards[row]), offset, length)

    def sample(self, row: int) -> Sample:
        """Returns the sample at `row` with all its members, fetched with one range read."""
        members = self._members[row]
        start = min(offset for offset, _ in members.values())
        end = max(offset + size for offset, size in members.values())
        data = storage.read_range(storage.join(self.path, "shards", self._shards[row]), start, end - start)
        content = {name: data[offset - start : offset - start + size] for name, (offset, size) in members.items()}
        return Sample(self._keys[row], content)

    def row_index(self, key: str) -> int:
        """Returns the row index of the sample with this key.

        Raises:
            KeyError: there is no such sample.
        """
        return self._rows[key]

    @cached_property
    def _keys(self) -> list[str]:
        return self.samples["key"].to_pylist()

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {key: row for row, key in enumerate(self._keys)}


def read_ledger(path: str, name: str) -> pa.Table:
    """Returns a ledger table of the dataset at `path`; `name` is "sources" or "clips"."""
    return read_table(storage.join(path, "ledger", f"{name}.parquet"))
