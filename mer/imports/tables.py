"""Features of all clips in one file: Parquet, `.npz`, safetensors, CSV.

Parquet       a column of names (`clip_id`, `name`, ...) and a column of lists (of lists, for frames) a view, or a
              column a feature; our own `utterance.parquet` too, whose `ok` says which clips are absent
.npz          an array a clip; or `clip_ids` beside arrays [N, D] or [N, T, D], one a view
safetensors   the same, with the names in the metadata as a JSON list `clip_ids`, or a tensor a clip
CSV           a column of names, a column a feature
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mer.errors import MerError
from mer.imports.base import ImportedError, Source, name_of, squeezed
from mer.imports.names import IDS, check_distinct
from mer.imports.npy import Archive
from mer.imports.rows import read_table
from mer.running.foreign import foreign, normalise, said

MAX_HEADER = 100 * 2**20
"""Bytes of a safetensors header, as its own library allows."""
TENSORS = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "<i1", "U8": "<u1"}


class RowsSource(Source):
    """Rows of one array: [N, D] or [N, T, D], a row a clip."""

    def __init__(self, path: Path, clip_ids: Sequence[str], values: NDArray[Any], what: str) -> None:
        check_distinct(clip_ids, what)
        if values.ndim not in (2, 3) or len(values) != len(clip_ids):
            raise MerError(f"{what}: shape {list(values.shape)} for {len(clip_ids)} clips; [N, D] or [N, T, D] is read")
        super().__init__(path, clip_ids, what)
        self.values = values

    def array(self, clip_id: str) -> NDArray[Any]:
        return self.values[self._ids[clip_id]]

    def widths(self) -> Iterator[tuple[str, int]]:
        return ((clip_id, self.values.shape[-1]) for clip_id in self._ids)

    def describe(self) -> str:
        kind = "utterance vectors" if self.values.ndim == 2 else f"{self.values.shape[1]} frames"
        return f"{self.what}: {len(self._ids)} clips, {kind}, {self.values.shape[-1]} columns"


class ArraysSource(Source):
    """An array a clip, by name."""

    def __init__(self, path: Path, arrays: Mapping[str, Any], what: str) -> None:
        """`arrays` maps a name to its shape; `_read` gives its values."""
        self.shapes = {normalise(name): tuple(shape) for name, shape in arrays.items()}
        if len(self.shapes) < len(arrays):
            raise MerError(f"{what}: two arrays would be of one clip: their names differ in the form of letters alone")
        self._keys = {normalise(name): name for name in arrays}
        super().__init__(path, list(self.shapes), what)

    def values(self, name: str) -> NDArray[Any]:
        raise NotImplementedError

    def array(self, clip_id: str) -> NDArray[Any]:
        try:
            values = self.values(self._keys[clip_id])
        except MerError as error:
            raise ImportedError(f"clip '{clip_id}': {error}") from None
        return values.reshape(squeezed(values.shape, frames=None))

    def widths(self) -> Iterator[tuple[str, int]]:
        return ((clip_id, squeezed(shape, frames=None)[-1]) for clip_id, shape in self.shapes.items())


class ParquetSource(Source):
    """A column of lists, read a row group at a time."""

    def __init__(self, path: Path, name: str | None) -> None:
        self.file = _parquet(path)
        schema = self.file.schema_arrow
        ids = _ids_of(schema.names, str(path))
        with foreign(str(path)):
            names = self.file.read(columns=[ids])[ids].cast(pa.string()).to_pylist()
        self.column = _one_of(name, _views(schema), f"{path}")
        what = f"{path}: '{self.column}'"
        clip_ids = [normalise(one or "") for one in names]
        check_distinct(clip_ids, what)
        super().__init__(path, clip_ids, what)
        sizes = [self.file.metadata.row_group(number).num_rows for number in range(self.file.num_row_groups)]
        self.starts = np.cumsum([0, *sizes])
        self.has_ok = "ok" in schema.names and pa.types.is_boolean(schema.field("ok").type)
        self._group: tuple[int, Any, Any] = (-1, None, None)

    def array(self, clip_id: str) -> NDArray[Any]:
        row = self._ids[clip_id]
        number = int(np.searchsorted(self.starts, row, "right")) - 1
        if self._group[0] != number:
            with foreign(self.what):
                columns = [self.column, *(["ok"] if self.has_ok else [])]
                table = self.file.read_row_group(number, columns=columns, use_threads=False)
                ok = table["ok"].to_numpy() if self.has_ok else None
                self._group = number, table[self.column].combine_chunks(), ok
        _, values, ok = self._group
        at = row - int(self.starts[number])
        try:
            if (ok is not None and not ok[at]) or not values[at].is_valid:
                return np.zeros(1)
            return _list_array(values[at].values)
        except (IndexError, ValueError, TypeError, pa.ArrowException) as error:
            raise ImportedError(f"{self.what}: clip '{clip_id}': {said(error)}") from None

    def widths(self) -> Iterator[tuple[str, int]]:
        kind = self.file.schema_arrow.field(self.column).type
        inner = kind.value_type
        fixed = inner if pa.types.is_fixed_size_list(inner) else kind if pa.types.is_fixed_size_list(kind) else None
        if fixed is not None and not pa.types.is_list(inner):
            return ((clip_id, fixed.list_size) for clip_id in self._ids)
        return ((clip_id, self.array(clip_id).shape[-1]) for clip_id in self._ids)


class NpzSource(ArraysSource):
    """An `.npz` with an array a clip."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        shapes = {name: header.shape for name, header in archive.headers.items()}
        super().__init__(archive.path, shapes, str(archive.path))

    def values(self, name: str) -> NDArray[Any]:
        return self.archive.read(name)


class TensorsSource(ArraysSource):
    """A safetensors file with a tensor a clip."""

    def __init__(self, path: Path, entries: Mapping[str, Any], start: int) -> None:
        self.entries, self.start = entries, start
        super().__init__(path, {name: entry["shape"] for name, entry in entries.items()}, str(path))

    def values(self, name: str) -> NDArray[Any]:
        return _tensor(self.path, name, self.entries[name], self.start)


def open_parquet(path: Path, name: str | None) -> Source:
    """A table in Parquet: lists, or a column a feature where there are none.

    Raises:
        MerError: no column names the clips, or none or several hold features and `name` chooses none.
    """
    file = _parquet(path)
    schema = file.schema_arrow
    if _views(schema):
        return ParquetSource(path, name)
    ids = _ids_of(schema.names, str(path))
    numbers = [field.name for field in schema if pa.types.is_floating(field.type)]
    if not numbers:
        raise MerError(f"{path}: no column of lists or of numbers (found: {', '.join(schema.names)[:200]})")
    with foreign(str(path)):
        table = file.read(columns=[ids, *numbers])
        clip_ids = [normalise(one or "") for one in table[ids].cast(pa.string()).to_pylist()]
        values = np.column_stack([table[column].to_numpy() for column in numbers])
    return RowsSource(path, clip_ids, values, str(path))


def open_npz(path: Path, name: str | None) -> Source:
    """An archive of arrays; see the module.

    Raises:
        MerError: it holds objects, or none or several arrays of features and `name` chooses none.
    """
    archive = Archive(path)
    for array, header in archive.headers.items():
        if header.dtype.hasobject:
            raise MerError(f"{path}: '{array}' holds {name_of(header.dtype)}, not numbers; nothing was run")
    named = [array for array, header in archive.headers.items() if header.dtype.kind in "US"]
    ids = [array for array in (*(f"{one}s" for one in IDS), *IDS, *named) if array in named]
    if not ids:
        return NpzSource(archive)
    clip_ids = [normalise(one.decode() if isinstance(one, bytes) else one) for one in archive.read(ids[0]).tolist()]
    views = [array for array, header in archive.headers.items() if len(header.shape) in (2, 3) and array not in named]
    view = _one_of(name, views, str(path))
    return RowsSource(path, clip_ids, archive.read(view), f"{path}: '{view}'")


def open_safetensors(path: Path, name: str | None) -> Source:
    """Tensors; see the module.

    Raises:
        MerError: it is no safetensors file, or is damaged.
    """
    entries, metadata, start = _header(path)
    if "clip_ids" not in metadata:
        return TensorsSource(path, entries, start)
    with foreign(f"{path}: 'clip_ids' in its metadata"):
        clip_ids = [normalise(str(one)) for one in json.loads(metadata["clip_ids"])]
    view = _one_of(name, [key for key, entry in entries.items() if len(entry["shape"]) in (2, 3)], str(path))
    return RowsSource(path, clip_ids, _tensor(path, view, entries[view], start), f"{path}: '{view}'")


def open_csv(path: Path, name: str | None) -> Source:
    """A CSV file with a row a clip. `name` may say which column names them.

    Raises:
        MerError: no column names the clips, or a cell is no number.
    """
    table = read_table(path, name)
    if not table.ids:
        raise MerError(f"{path}: no column names the clips ({', '.join(IDS)})")
    return RowsSource(path, table.ids, table.values, str(path))


def _parquet(path: Path) -> pq.ParquetFile:
    with foreign(str(path)):
        return pq.ParquetFile(path, memory_map=True)


def _views(schema: pa.Schema) -> list[str]:
    return [field.name for field in schema if _is_list(field.type)]


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _ids_of(columns: Sequence[str], where: str) -> str:
    for name in IDS:
        if name in columns:
            return name
    raise MerError(f"{where}: no column names the clips ({', '.join(IDS)}; found: {', '.join(columns)[:200]})")


def _one_of(name: str | None, views: Sequence[str], where: str) -> str:
    if name is not None and name in views:
        return name
    shown = ", ".join(views)[:200]
    if name is not None:
        raise MerError(f"{where}: no features '{name}' in it (found: {shown or 'none'})")
    if len(views) != 1:
        raise MerError(f"{where}: which features? Found: {shown}" if views else f"{where}: no features in it")
    return views[0]


def _list_array(values: pa.Array) -> NDArray[Any]:
    """A list's values as [D], a list of lists' as [T, D]."""
    if not _is_list(values.type):
        return np.asarray(values.to_numpy(zero_copy_only=False), float)
    rows = [np.asarray(row.values.to_numpy(zero_copy_only=False), float) for row in values]
    if len({len(row) for row in rows}) > 1:
        raise ValueError(f"frames of {min(map(len, rows))} and of {max(map(len, rows))} columns")
    return np.stack(rows) if rows else np.zeros((0, 1))


def _header(path: Path) -> tuple[dict[str, Any], dict[str, str], int]:
    """Entries of tensors, metadata, and where the values begin."""
    with foreign(str(path)), open(path, "rb") as file:
        size = path.stat().st_size
        (length,) = struct.unpack("<Q", file.read(8))
        if length > min(MAX_HEADER, size - 8):
            raise MerError(f"{path}: not a safetensors file, or a damaged one")
        entries = json.loads(file.read(length))
        metadata = entries.pop("__metadata__", {})
        for name, entry in entries.items():
            kind, shape, (first, last) = entry["dtype"], entry["shape"], entry["data_offsets"]
            if kind not in TENSORS:
                raise MerError(f"{path}: '{name}' is of dtype {kind}; {', '.join(TENSORS)} are read")
            if not all(type(side) is int and side >= 0 for side in shape):
                raise MerError(f"{path}: '{name}' has no shape")
            expected = np.dtype(TENSORS[kind]).itemsize * int(np.prod(shape, dtype=object))
            if not 0 <= first <= last or last - first != expected or 8 + length + last > size:
                raise MerError(f"{path}: '{name}' is cut short, or its shape is wrong")
    return entries, metadata, 8 + length


def _tensor(path: Path, name: str, entry: Mapping[str, Any], start: int) -> NDArray[Any]:
    shape = tuple(entry["shape"])
    if 0 in shape:
        return np.zeros(shape, np.float32)
    with foreign(f"{path}: '{name}'"):
        return np.memmap(path, TENSORS[entry["dtype"]], "r", start + entry["data_offsets"][0], shape)
