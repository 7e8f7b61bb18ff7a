"""One shard: a Parquet file that is whole or not there."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SUFFIX = ".parquet"
ROW_GROUP_BYTES = 2 * 2**20
"""Small enough to fetch one clip without reading many, large enough for thousands of short vectors in one."""


class CorruptShardError(Exception):
    """A shard that cannot be read or whose checksums do not hold; it has been set aside."""


def new_path(folder: Path) -> Path:
    """A name that no other writer uses."""
    return folder / f"{uuid.uuid4().hex}{SUFFIX}"


def write_shard(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    """Write rows to `path` so that it appears whole or not at all: temporary name, fsync, validation, rename."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        rows = _write(temporary, schema, batches)
        if validate(temporary) != rows:
            raise OSError(f"{temporary}: does not read back as written")
        os.replace(temporary, path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _write(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
    rows = 0
    with open(path, "wb") as file:
        with open_writer(file, schema) as writer:
            for group in row_groups(batches, schema, ROW_GROUP_BYTES):
                writer.write_table(group, row_group_size=max(1, group.num_rows))
                rows += group.num_rows
        file.flush()
        os.fsync(file.fileno())
    return rows


def open_writer(file: object, schema: pa.Schema) -> pq.ParquetWriter:
    """A writer for media and vectors: they do not compress, so no codec and no dictionary; checksums on every page."""
    return pq.ParquetWriter(
        file,
        schema,
        compression="none",
        use_dictionary=False,
        write_statistics=False,
        write_page_checksum=True,
        store_schema=True,
    )


def row_groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema, limit: int) -> Iterable[pa.Table]:
    """Regroup rows into tables of about `limit` bytes; the cuts depend on the rows alone, not on the batches."""
    held: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        for row in range(batch.num_rows):
            held.append(batch.slice(row, 1))
            size += held[-1].nbytes
            if size >= limit:
                yield pa.Table.from_batches(held, schema).combine_chunks()
                held, size = [], 0
    if held:
        yield pa.Table.from_batches(held, schema).combine_chunks()


def validate(path: Path) -> int:
    """Read a shard whole, checksums included, and count its rows.

    Raises:
        CorruptShardError: it cannot be read or a checksum does not hold.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as shard:
            return sum(shard.read_row_group(group).num_rows for group in range(shard.num_row_groups))
    except (OSError, pa.ArrowException) as error:
        raise CorruptShardError(f"{path}: {error}") from None


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
