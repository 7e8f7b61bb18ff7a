"""Rows out of shards: few files open, few row groups in memory, columns of numbers as NumPy arrays."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mer.store import shards

HELD_BYTES = 32 * 2**20
"""Row groups kept while reading in an order that differs from the shards'."""
HELD_FILES = 4
"""Open at a time: a Parquet reader keeps some megabytes, and shards are mostly read one after another."""


class Reader:
    """Open files and row groups, the least recently used given up first. Raises what pyarrow raises."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = list(columns)
        self.files: OrderedDict[Path, pq.ParquetFile] = OrderedDict()
        self.groups: OrderedDict[tuple[Path, int], pa.Table] = OrderedDict()
        self.size = 0

    def group(self, path: Path, number: int) -> pa.Table:
        """One row group of a shard."""
        place = (path, number)
        if place in self.groups:
            self.groups.move_to_end(place)
            return self.groups[place]
        table = self._file(path).read_row_group(number, columns=self.columns, use_threads=False)
        self.groups[place] = table
        self.size += table.nbytes
        while self.size > HELD_BYTES and len(self.groups) > 1:
            self.size -= self.groups.popitem(last=False)[1].nbytes
        return table

    def close(self) -> None:
        while self.files:
            self.files.popitem()[1].close()

    def _file(self, path: Path) -> pq.ParquetFile:
        if path in self.files:
            self.files.move_to_end(path)
            return self.files[path]
        if len(self.files) >= HELD_FILES:
            self.files.popitem(last=False)[1].close()
        self.files[path] = shards.open_shard(path)
        with suppress(OSError):  # `mer cache prune` goes by the time of last use; who may only read leaves no trace
            os.utime(path)
        return self.files[path]


def as_rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    """A table row by row; a column of number lists comes as NumPy arrays."""
    numeric = [_is_numbers(column.type) for column in table.columns]
    for row in range(table.num_rows):
        yield {
            name: _value(column[row], numbers)
            for name, column, numbers in zip(table.column_names, table.columns, numeric, strict=True)
        }


def _is_numbers(kind: pa.DataType) -> bool:
    nested = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return nested and (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type))


def _value(scalar: pa.Scalar, numbers: bool) -> Any:
    if numbers and scalar.is_valid:
        return scalar.values.to_numpy(zero_copy_only=False)
    return scalar.as_py()
