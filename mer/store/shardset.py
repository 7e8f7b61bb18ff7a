"""A folder of shards with one schema: rows found by key, appended through a journal, read in any order."""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mer.store import journal, shards
from mer.store.shards import CorruptShardError

log = logging.getLogger(__name__)

KEY = pa.field("key", pa.string(), nullable=False)
HELD_BYTES = 32 * 2**20
"""Row groups kept while reading in an order that differs from the shards'."""
HELD_FILES = 4
"""Open at a time: a Parquet reader keeps some megabytes, and shards are mostly read one after another."""
PLACE = np.dtype([("shard", np.int32), ("group", np.int32), ("row", np.int32)])


class ShardSet:
    """Rows of `schema` in `folder`, each under a key.

    Several processes may read and write one folder: shards appear whole, a key found twice holds the same row twice.
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self.folder = folder
        self.schema = pa.schema([KEY, *schema])
        self.paths: list[Path] = []
        self._found: list[Path] = []
        self._keys = pa.chunked_array([], pa.string())
        self._places = np.zeros(0, PLACE)
        folder.mkdir(parents=True, exist_ok=True)
        self.refresh()

    def refresh(self) -> None:
        """Take in shards written, and drop shards removed, by others; seal journals that a dead run left behind."""
        for path in journal.abandoned(self.folder):
            self.seal(journal.read(path))
            path.unlink()
        found = sorted(self.folder.glob(f"[!.]*{shards.SUFFIX}"))
        if found == self._found:
            return
        self._found = found
        keys: list[pa.Array] = []
        places: list[NDArray[np.void]] = []
        self.paths = []
        for path in found:
            try:
                index = _shard_index(path, len(self.paths), self.schema)
            except CorruptShardError as error:
                set_aside(path, str(error))
                continue
            except FileNotFoundError:
                continue
            if index is not None:
                self.paths.append(path)
                keys.append(index[0])
                places.append(index[1])
        self._keys = pa.chunked_array(keys, pa.string())
        self._places = np.concatenate(places) if places else np.zeros(0, PLACE)

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self) -> set[str]:
        return set(self._keys.to_pylist())

    def has(self, keys: Sequence[str]) -> NDArray[np.bool_]:
        """Bool [len(keys)]."""
        wanted = pa.array(keys, pa.string())
        return np.asarray(pc.is_in(wanted, value_set=self._keys).to_numpy(zero_copy_only=False), bool)

    def seal(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Write rows as one shard; no rows, no shard."""
        batches = iter(batches)
        first = next(batches, None)
        if first is not None:
            shards.write_shard(shards.new_path(self.folder), first.schema, chain([first], batches))

    def tables(self, keys: Sequence[str], columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The rows of `keys`, in that order, as tables of one or more rows; memory does not grow with their number.

        Raises:
            KeyError: a key is not here.
            CorruptShardError: a shard cannot be read; it has been set aside, so its keys are missing from now on.
        """
        found = pc.index_in(pa.array(keys, pa.string()), value_set=self._keys)
        if found.null_count:
            raise KeyError(keys[found.is_null().index(True).as_py()])
        places = self._places[found.to_numpy()]
        names = [name for name in self.schema.names if columns is None or name in columns]
        reader = _Reader(self.paths, names)
        first = 0
        while first < len(places):
            last = first + 1
            while last < len(places) and _follows(places[last - 1], places[last]):
                last += 1
            place = places[first]
            try:
                group = reader.group(int(place["shard"]), int(place["group"]))
            except (OSError, pa.ArrowException) as error:
                path = self.paths[int(place["shard"])]
                set_aside(path, str(error))
                self.refresh()
                raise CorruptShardError(f"{path}: {error}") from None
            yield group.slice(int(place["row"]), last - first)
            first = last

    def rows(self, keys: Sequence[str], columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Like `tables`, row by row; a column of number lists comes as NumPy arrays."""
        for table in self.tables(keys, columns):
            yield from _as_rows(table)


class _Reader:
    """Open files and row groups, the least recently used given up first."""

    def __init__(self, paths: Sequence[Path], columns: Sequence[str]) -> None:
        self.paths, self.columns = paths, columns
        self.files: OrderedDict[int, pq.ParquetFile] = OrderedDict()
        self.groups: OrderedDict[tuple[int, int], pa.Table] = OrderedDict()
        self.size = 0

    def group(self, shard: int, number: int) -> pa.Table:
        place = (shard, number)
        if place in self.groups:
            self.groups.move_to_end(place)
            return self.groups[place]
        table = self._file(shard).read_row_group(number, columns=list(self.columns), use_threads=False)
        self.groups[place] = table
        self.size += table.nbytes
        while self.size > HELD_BYTES and len(self.groups) > 1:
            self.size -= self.groups.popitem(last=False)[1].nbytes
        return table

    def _file(self, shard: int) -> pq.ParquetFile:
        if shard in self.files:
            self.files.move_to_end(shard)
            return self.files[shard]
        if len(self.files) >= HELD_FILES:
            self.files.popitem(last=False)[1].close()
        self.files[shard] = pq.ParquetFile(self.paths[shard], page_checksum_verification=True)
        os.utime(self.paths[shard])  # `mer cache prune` goes by the time of last use
        return self.files[shard]


def set_aside(path: Path, reason: str) -> None:
    """Take a broken shard out of the set: what it held is computed again."""
    log.warning("%s is corrupt (%s): set aside, its clips are redone", path, reason)
    if path.exists():
        os.replace(path, path.with_suffix(".corrupt"))


def _shard_index(path: Path, number: int, schema: pa.Schema) -> tuple[pa.Array, NDArray[np.void]] | None:
    """Keys of a shard, and where each row lies; None for a shard of another schema, left by another version of mer."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as shard:
            if not shard.schema_arrow.equals(schema):
                return None
            keys = shard.read(columns=["key"], use_threads=False)["key"].combine_chunks()
            sizes = [shard.metadata.row_group(group).num_rows for group in range(shard.num_row_groups)]
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException, KeyError) as error:
        raise CorruptShardError(str(error)) from None
    places = np.zeros(len(keys), PLACE)
    places["shard"] = number
    places["group"] = np.repeat(np.arange(len(sizes)), sizes)
    places["row"] = np.concatenate([np.arange(size) for size in sizes]) if sizes else []
    return keys, places


def _follows(place: np.void, other: np.void) -> bool:
    same = place["shard"] == other["shard"] and place["group"] == other["group"]
    return bool(same and place["row"] + 1 == other["row"])


def _as_rows(table: pa.Table) -> Iterator[dict[str, Any]]:
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
