"""One shard: a Parquet file that is whole or not there, named by the SHA-256 of its bytes.

So one question, asked of the bytes alone, tells whether a shard is corrupt. Whatever else goes wrong while one is read
(no memory, no file handles, a disk error, a permission) is the machine's, and no reason to give the shard up.
"""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mer.errors import MerError
from mer.running.machine import explain
from mer.store.locks import listing
from mer.store.sharing import create

SUFFIX = ".parquet"
ROW_GROUP_BYTES = 2 * 2**20
"""Small enough to fetch one clip without reading many, large enough for thousands of short vectors in one."""
PREFIX = "mer-"
"""Of every name of ours: beside other people's files, we know our own."""
NAME = re.compile(r"mer-[0-9a-f]{64}\.parquet")
EARLIER = re.compile(r"[0-9a-f]{32}\.parquet")
"""Names that earlier versions of mer gave, at random."""


class MissingRowsError(KeyError):
    """Rows that were asked for are not in the cache, or no longer: to be computed (again)."""

    __str__ = Exception.__str__  # KeyError's shows a message as a string literal


class CorruptShardError(MissingRowsError):
    """A shard whose bytes are not those that were written; it has been set aside."""


class UnreadableShardError(MerError):
    """The machine's fault: a shard could not be read, and nothing says that it is broken."""


def names(folder: Path) -> list[Path]:
    """Shards in a folder, by name; files of other names are not ours."""
    return sorted(path for path in folder.iterdir() if NAME.fullmatch(path.name))


def name_of(folder: Path, digest: str) -> Path:
    """The name of a shard with this SHA-256."""
    return folder / f"{PREFIX}{digest}{SUFFIX}"


def temporary_path(folder: Path) -> Path:
    """A name that no other writer uses, and no reader looks at."""
    return folder / f".{PREFIX}{uuid.uuid4().hex}.tmp"


def write_shard(folder: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Path:
    """Write rows to a new shard so that it appears whole or not at all: temporary name, fsync, validation, rename.

    Raises:
        OSError: no space, no permission, or the disk does not give back what was written.
    """
    temporary = temporary_path(folder)
    try:
        rows, digest = _write(temporary, schema, batches)
        if validate(temporary) != rows or sha256(temporary) != digest:
            raise OSError(f"{temporary}: does not read back as written")
        path = name_of(folder, digest)
        with listing(folder):  # names come under the shared lock and go under the exclusive one: see `mer.store.locks`
            os.replace(temporary, path)
        _sync_folder(folder)
        return path
    finally:
        temporary.unlink(missing_ok=True)


def _write(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> tuple[int, str]:
    rows = 0
    with os.fdopen(create(path), "wb") as file:
        sink = _Hashed(file)
        with open_writer(pa.PythonFile(sink, mode="w"), schema) as writer:
            for group in row_groups(batches, schema, ROW_GROUP_BYTES):
                writer.write_table(group, row_group_size=max(1, group.num_rows))
                rows += group.num_rows
        file.flush()
        os.fsync(file.fileno())
    return rows, sink.sha256.hexdigest()


class _Hashed:
    """A file that hashes what is written to it on the way."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.sha256 = hashlib.sha256()
        self.closed = False

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        return int(self.file.write(data))

    def flush(self) -> None:
        self.file.flush()

    def tell(self) -> int:
        return int(self.file.tell())

    def close(self) -> None:
        self.closed = True


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


def open_shard(path: Path) -> pq.ParquetFile:
    """A reader that holds every page against its checksum."""
    return pq.ParquetFile(path, page_checksum_verification=True)


def validate(path: Path) -> int:
    """Read a Parquet file whole, page checksums included, and count its rows; raises what pyarrow raises."""
    with open_shard(path) as shard:
        return sum(shard.read_row_group(group).num_rows for group in range(shard.num_row_groups))


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_whole(path: Path) -> bool:
    """Whether the bytes of a shard are those that were written.

    Raises:
        FileNotFoundError: it is gone.
        UnreadableShardError: the machine does not let us read it.
    """
    try:
        return path == name_of(path.parent, sha256(path))
    except FileNotFoundError:
        raise
    except (OSError, MemoryError) as error:
        raise UnreadableShardError(explain(error, path)) from None


def after_fault(path: Path, error: Exception) -> CorruptShardError:
    """What a fault while reading a shard means: given back where the bytes are not those written.

    Raises:
        FileNotFoundError: the shard is gone.
        UnreadableShardError: the shard is whole, or cannot be read: the fault is the machine's.
    """
    if not is_whole(path):
        return CorruptShardError(f"{path}: {' '.join(str(error).split())}")
    if isinstance(error, OSError | MemoryError):
        raise UnreadableShardError(explain(error, path)) from None
    raise UnreadableShardError(f"{path}: {type(error).__name__}: {' '.join(str(error).split())}") from None


def iterate(path: Path) -> Iterator[pa.RecordBatch]:
    """All rows of a shard, held against its checksums; raises what pyarrow raises."""
    with open_shard(path) as shard:
        for group in range(shard.num_row_groups):
            yield from shard.read_row_group(group, use_threads=False).to_batches()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
